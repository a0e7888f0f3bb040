/** Events as lines of a file that rotates. Not durable: it begins with the present, and what cannot be written is counted, never waited for. */
import { isAbsolute, join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import { lineOf } from '../../event/projections/index.ts';
import { Follower } from '../follower.ts';
import type { Exporter, ExporterProblem, ExporterProgress, ShardExport, ShardLogs } from '../types.ts';
import { FILES_DIR, type FileConfig } from './config.ts';
import { insert, RotatingFile } from './rotating.ts';

export interface FileOptions {
  name: string;
  config: FileConfig;
  node: string;
  worker: number;
  clock: Clock;
  log: Logger;
}

export class FileExporter implements Exporter {
  readonly name: string;
  readonly durable = false;
  onChange: () => void = () => {};
  private readonly o: FileOptions;
  private readonly file: RotatingFile;
  private readonly follower: Follower;
  private lost = 0;
  private problem: ExporterProblem | undefined;

  constructor(o: FileOptions) {
    this.o = o;
    this.name = o.name;
    const { config, node } = o;
    // Relative, as the process stands in data_dir: its user may not look into the folders above.
    const path = isAbsolute(config.path) ? config.path : join(FILES_DIR, config.path);
    this.file = new RotatingFile(insert(path, `-${o.worker}`), config.rotate);
    this.follower = new Follower({
      render: (r, sec, nsec) => lineOf(config.format, r, sec, nsec, node),
      take: (text, events) => this.write(text, events),
      onIdle: () => this.onChange(),
    });
  }

  open(logs: ShardLogs): ShardExport {
    return this.follower.open(logs);
  }

  progress(): ExporterProgress {
    return {
      exporter: this.name,
      type: 'file',
      durable: false,
      acked: this.follower.shown - this.lost,
      retried: 0,
      quarantined: 0,
      quarantinedBy: {},
      skipped: this.follower.skipped + this.lost,
      lag: 0,
      up: this.problem === undefined,
      problems: this.problem ? [this.problem] : [],
    };
  }

  async close(): Promise<void> {
    this.follower.close();
    this.file.close();
  }

  private write(text: string, events: number): boolean {
    const { clock, log } = this.o;
    try {
      this.file.write(text, clock.wallMs());
      if (this.problem) log.info({ exporter: this.name }, `over: ${this.problem.problem}`);
      this.problem = undefined;
    } catch (e) {
      this.lost += events;
      const why = e instanceof Error ? e.message : String(e);
      if (!this.problem)
        log.warn({ exporter: this.name, file: this.file.path, error: why }, 'events cannot be written');
      this.problem = {
        topic: '',
        problem: `${this.file.path} cannot be written (${why})`,
        fix: 'free space there, or let the user of the workers write to it',
        since: this.problem?.since ?? clock.wallMs(),
      };
    }
    return true;
  }
}
