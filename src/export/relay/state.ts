/** What a relay saves of a shard: where each receiver stands in the class `alarm`, the only one it reads. */
import type { EventClass } from '../../event/types.ts';
import { comparePositions } from '../../spool/segment-file.ts';
import type { Position } from '../../spool/types.ts';

export interface RelayState {
  v: 1;
  /** By ADDR:PORT. */
  targets: Record<string, Position>;
}

/** The classes a relay holds. */
export const RELAYED: readonly EventClass[] = ['alarm'];

/** Up to where all receivers have it. */
export function relayLowWater(state: unknown): Partial<Record<EventClass, Position>> {
  let low: Position | undefined;
  for (const at of Object.values((state as Partial<RelayState> | null | undefined)?.targets ?? {}))
    if (!low || comparePositions(at, low) < 0) low = at;
  return low ? { alarm: low } : {};
}
