/** FRR's zebra and bgpd as a router in a namespace: own configuration, own sockets, no watchfrr and no systemd. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Namespace } from './netns.ts';
import { labBin } from './peers.ts';
import { exec, type Proc } from './proc.ts';
import { type WaitOptions, waitFor } from './wait.ts';

export interface FrrOptions {
  /** bgpd's configuration, from `router bgp …` on. */
  config: string;
  /** zebra's, for static interface settings; usually empty. */
  zebra?: string;
  /** Loads bgpd's BMP module, so that `bmp targets` can be configured. */
  bmp?: boolean;
  /** Starts bfdd too. */
  bfd?: boolean;
  /** TCP port bgpd listens on. */
  port?: number;
  /** Words in front of each daemon: `nice …`. */
  wrap?: readonly string[];
}

/** The fields of `show bgp … json` tests look at. */
export interface FrrPath {
  valid?: boolean;
  bestpath?: boolean;
  multipath?: boolean;
  pathFrom?: string;
  prefix?: string;
  prefixLen?: number;
  network?: string;
  path?: string;
  origin?: string;
  metric?: number;
  locPrf?: number;
  weight?: number;
  nexthops?: { ip: string; afi: string; used?: boolean; scope?: string }[];
}

export interface FrrNeighbor {
  bgpState: string;
  remoteAs: number;
  remoteRouterId: string;
  lastResetDueTo?: string;
  lastNotificationReason?: string;
  neighborCapabilities?: Record<string, unknown>;
  addressFamilyInfo?: Record<string, { acceptedPrefixCounter?: number; sentPrefixCounter?: number }>;
  [key: string]: unknown;
}

export class Frr {
  readonly ns: Namespace;
  readonly dir: string;
  readonly options: FrrOptions;
  zebra!: Proc;
  bgpd!: Proc;
  bfdd: Proc | undefined;

  private constructor(ns: Namespace, options: FrrOptions) {
    this.ns = ns;
    this.options = options;
    this.dir = join(ns.lab.dir, `frr-${ns.name}`);
  }

  /** Starts both daemons and waits until bgpd answers. */
  static async start(ns: Namespace, options: FrrOptions): Promise<Frr> {
    const frr = new Frr(ns, options);
    mkdirSync(frr.dir, { recursive: true });
    writeFileSync(join(frr.dir, 'zebra.conf'), `hostname ${ns.short}\n${options.zebra ?? ''}\n`);
    writeFileSync(join(frr.dir, 'bgpd.conf'), `hostname ${ns.short}\n${options.config}\n`);
    writeFileSync(join(frr.dir, 'vtysh.conf'), '');
    execFileSync('chown', ['-R', 'frr:frr', frr.dir]);
    frr.zebra = frr.daemon('zebra', []);
    await waitFor(() => frr.answers('zebra'), `zebra of ${ns.short} to answer`);
    if (options.bfd) {
      writeFileSync(join(frr.dir, 'bfdd.conf'), `hostname ${ns.short}\n`);
      execFileSync('chown', ['-R', 'frr:frr', frr.dir]);
      frr.bfdd = frr.daemon('bfdd', ['--bfdctl', join(frr.dir, 'bfdd.sock')]);
      await waitFor(() => frr.answers('bfdd'), `bfdd of ${ns.short} to answer`);
    }
    await frr.startBgpd();
    return frr;
  }

  /** Starts bgpd (again) with the configuration it was given at first. */
  async startBgpd(): Promise<void> {
    const more = ['-p', String(this.options.port ?? 179), ...(this.options.bmp ? ['-M', 'bmp'] : [])];
    this.bgpd = this.daemon('bgpd', more);
    await waitFor(() => this.answers('bgpd'), `bgpd of ${this.ns.short} to answer`);
  }

  private daemon(name: 'zebra' | 'bgpd' | 'bfdd', more: string[]): Proc {
    const at = (file: string) => join(this.dir, file);
    return this.ns.spawn([
      ...(this.options.wrap ?? []),
      labBin(name),
      ...['-u', 'frr', '-g', 'frr', '-f', at(`${name}.conf`), '-i', at(`${name}.pid`), '--vty_socket', this.dir],
      ...['-z', at('zserv.api'), '-P', '0', '--log', 'stdout', ...more],
    ]);
  }

  private async answers(daemon: 'zebra' | 'bgpd' | 'bfdd'): Promise<boolean> {
    const proc = daemon === 'zebra' ? this.zebra : daemon === 'bgpd' ? this.bgpd : this.bfdd;
    if (!proc?.alive) throw new Error(`${daemon} ended: ${proc?.tail()}`);
    const done = await exec([...this.vtyshArgv(), '-d', daemon, '-c', 'show version'], { allowFailure: true });
    return done.code === 0 && done.stdout.includes('FRRouting');
  }

  private vtyshArgv(): string[] {
    return [labBin('vtysh'), '--vty_socket', this.dir, '--config_dir', this.dir];
  }

  /** Runs commands and returns what was printed. */
  async vtysh(...commands: string[]): Promise<string> {
    const done = await exec([...this.vtyshArgv(), ...commands.flatMap((c) => ['-c', c])]);
    return done.stdout;
  }

  /** A `show … json` command's answer. */
  async json<T>(command: string): Promise<T> {
    return JSON.parse(await this.vtysh(command)) as T;
  }

  /** Configuration lines, as typed after `configure terminal`. */
  async configure(...lines: string[]): Promise<void> {
    await this.vtysh('configure terminal', ...lines, 'end');
  }

  /** A file of configuration lines at once: thousands of them cost one run of vtysh. */
  async load(file: string): Promise<void> {
    await exec([...this.vtyshArgv(), '-f', file]);
  }

  /** The BGP table of a family: prefix to paths. */
  async showBgp(family: 'ipv4' | 'ipv6'): Promise<Record<string, FrrPath[]>> {
    return (await this.json<{ routes: Record<string, FrrPath[]> }>(`show bgp ${family} unicast json`)).routes;
  }

  /** The paths to one prefix, best first or in the table's order; empty where there is none. */
  async paths(family: 'ipv4' | 'ipv6', prefix: string): Promise<FrrPath[]> {
    return (await this.showBgp(family))[prefix] ?? [];
  }

  async neighbor(address: string): Promise<FrrNeighbor | undefined> {
    const all = await this.json<Record<string, FrrNeighbor>>(`show bgp neighbors ${address} json`);
    return all[address];
  }

  waitEstablished(address: string, options?: WaitOptions): Promise<FrrNeighbor> {
    return waitFor(
      async () => {
        const n = await this.neighbor(address);
        if (n?.bgpState === 'Established') return n;
        throw new Error(`state ${n?.bgpState}`);
      },
      `${this.ns.short} Established with ${address}`,
      options,
    );
  }

  /** Waits until the family's table has as many paths to the prefix. */
  waitPaths(family: 'ipv4' | 'ipv6', prefix: string, count: number, options?: WaitOptions): Promise<FrrPath[]> {
    return waitFor(
      async () => {
        const paths = await this.paths(family, prefix);
        if (paths.length === count) return paths;
        throw new Error(`${paths.length} paths`);
      },
      `${count} paths to ${prefix} on ${this.ns.short}`,
      options,
    );
  }

  async stop(): Promise<void> {
    await this.bgpd.stop();
    await this.bfdd?.stop();
    await this.zebra.stop();
  }
}
