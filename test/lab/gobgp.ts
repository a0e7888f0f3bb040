/** GoBGP in a namespace. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Namespace } from './netns.ts';
import { labBin } from './peers.ts';
import type { Proc } from './proc.ts';
import { waitFor } from './wait.ts';

export class Gobgp {
  readonly ns: Namespace;
  readonly proc: Proc;

  private constructor(ns: Namespace, proc: Proc) {
    this.ns = ns;
    this.proc = proc;
  }

  /** Starts gobgpd with a TOML configuration and waits until it answers. */
  static async start(ns: Namespace, toml: string): Promise<Gobgp> {
    const file = join(ns.lab.dir, `gobgp-${ns.name}.toml`);
    writeFileSync(file, toml);
    const proc = ns.spawn([labBin('gobgpd'), '-f', file, '-p', '--pprof-disable', '--api-hosts', '[::1]:50051']);
    const gobgp = new Gobgp(ns, proc);
    await waitFor(() => {
      if (!proc.alive) throw new Error(`gobgpd ended: ${proc.tail()}`);
      return gobgp.cli('global');
    }, `gobgpd of ${ns.short} to answer`);
    return gobgp;
  }

  /** The gobgp command: `cli('global', 'rib', 'add', '10.0.0.0/24')`. */
  async cli(...args: string[]): Promise<string> {
    return (await this.ns.exec([labBin('gobgp'), '-u', '::1', ...args])).stdout;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.cli('-j', ...args)) as T;
  }

  async stop(): Promise<void> {
    await this.proc.stop();
  }
}
