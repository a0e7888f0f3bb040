/** Events as lines for standard output. Not durable: see follower.ts. */
import { type Format, lineOf } from '../../event/projections/index.ts';
import { Follower } from '../follower.ts';
import type { Exporter, ExporterProgress, ShardExport, ShardLogs } from '../types.ts';
import { formatReadable } from './format.ts';

export interface StdoutOptions {
  name: string;
  node: string;
  /** Lines for people, where no format is asked for. */
  readable: boolean;
  format?: Format;
  /** Takes lines; the next ones are given after `written`. */
  write: (text: string) => void;
  /** Bytes in the spool from which on it skips ahead. */
  maxLagBytes?: number;
}

export class StdoutExporter implements Exporter {
  readonly name: string;
  readonly durable = false;
  onChange: () => void = () => {};
  private readonly follower: Follower;

  constructor(o: StdoutOptions) {
    this.name = o.name;
    const { format, node } = o;
    this.follower = new Follower({
      render: (r, sec, nsec) =>
        o.readable && format === undefined
          ? formatReadable(r, sec, nsec)
          : lineOf(format ?? 'cloudevents', r, sec, nsec, node),
      take: (text) => {
        o.write(text);
        return false;
      },
      onIdle: () => this.onChange(),
      maxLagBytes: o.maxLagBytes,
    });
  }

  open(logs: ShardLogs): ShardExport {
    return this.follower.open(logs);
  }

  /** What was handed to `write` is out. */
  written(): void {
    this.follower.written();
  }

  progress(): ExporterProgress {
    return {
      exporter: this.name,
      type: 'stdout',
      durable: false,
      acked: this.follower.shown,
      retried: 0,
      quarantined: 0,
      quarantinedBy: {},
      skipped: this.follower.skipped,
      lag: 0,
      up: true,
      problems: [],
    };
  }

  async close(): Promise<void> {
    this.follower.close();
  }
}
