import type { TapFilter } from '../process/messages.ts';

/** What an instance can be asked and told. Implemented by the supervisor. */
export interface Admin {
  /** Empty: well. Else the reasons. */
  livez(): Promise<string[]> | string[];
  readyz(): Promise<string[]> | string[];
  vipz(): { code: number; grade: string };
  metrics(): Promise<string>;
  status(): Promise<unknown>;
  lb(): Promise<unknown>;
  spool(): Promise<unknown>;
  exporters(): Promise<unknown>;
  configuration(): unknown;
  explain(device: string): Promise<unknown>;
  drain(who: string): Promise<unknown>;
  undrain(who: string): Promise<unknown>;
  /** Follows live events; `sink` says whether it took the lines. Returns how to end it. */
  tap(filter: TapFilter, sink: (lines: string[]) => boolean): () => void;
}
