/** The configuration as workers have it: with keys in place of passphrases, and told by what is other than before. */
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Registry } from '../telemetry/registry.ts';
import { forChildren } from './doors.ts';
import type { ToWorker } from './messages.ts';
import { changedUsers, withoutUsers } from './user-changes.ts';
import { UserKeys, type UserKeysStatus } from './user-keys.ts';

export interface WorkerConfigOptions {
  config: Config;
  clock: Clock;
  log: Logger;
  registry: Registry;
  cores: number;
  /** To all workers that run. */
  tell: (message: ToWorker) => void;
}

export class WorkerConfig {
  /** What they were last told: a worker that begins begins with it, and with the next change it is like the others. */
  told: Config;
  private readonly o: WorkerConfigOptions;
  private readonly keys: UserKeys;
  private config: Config;

  constructor(o: WorkerConfigOptions) {
    this.o = o;
    this.config = o.config;
    this.told = o.config;
    this.keys = new UserKeys({ ...o, onKeys: () => this.tell() });
  }

  /** Before the first worker begins; waits a moment for keys. */
  async first(): Promise<void> {
    await this.keys.first(this.config);
    this.told = this.made();
  }

  /** Another configuration: told when its keys are made, or after a moment with what there is. */
  change(config: Config): void {
    this.config = config;
    this.keys.set(config);
    void this.keys.settled().then(() => this.tell());
  }

  keyStatus(): UserKeysStatus {
    return this.keys.status();
  }

  stop(): void {
    this.keys.stop();
  }

  private made(): Config {
    return forChildren(this.keys.forWorkers(this.config));
  }

  private tell(): void {
    const before = this.told;
    this.told = this.made();
    const users = changedUsers(before, this.told);
    this.o.tell({ kind: 'reconfigure', config: withoutUsers(this.told), users });
  }
}
