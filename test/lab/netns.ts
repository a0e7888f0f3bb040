/**
 * A lab of network namespaces: routers and nodes joined by veth pairs and bridges. Nothing of it is visible outside, and all of it
 * goes with `close()`. Names carry the test's pid, so that parallel runs never meet and what a killed run left is found and removed.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labBin } from './peers.ts';
import { type ExecOptions, type ExecResult, exec, Proc, type ProcOptions } from './proc.ts';

const NAME = /^tg-(\d+)-\d+-/;
const labs = new Set<Lab>();
let counter = 0;

process.on('exit', () => {
  for (const lab of labs) lab.closeNow();
});

export interface LinkEnd {
  ns: Namespace;
  /** The interface's name inside its namespace, 15 characters at most. */
  dev: string;
  /** With prefix length, IPv4 and IPv6: `10.1.0.1/24`, `2001:db8:1::1/64`. */
  addresses?: string[];
}

export interface NamespaceOptions {
  /** False: no IPv4 address at all, not even 127.0.0.1. */
  ipv4?: boolean;
  /** More `net.…` settings, over the ones every namespace gets. */
  sysctl?: Record<string, string | number>;
}

// Duplicate address detection would keep IPv6 addresses unusable for a second; layer-4 hashing spreads flows over ECMP paths.
const SYSCTL: Record<string, string | number> = {
  'net.ipv6.conf.all.accept_dad': 0,
  'net.ipv6.conf.default.accept_dad': 0,
  'net.ipv6.conf.all.disable_ipv6': 0,
  'net.ipv6.conf.default.disable_ipv6': 0,
  'net.ipv6.conf.all.forwarding': 1,
  'net.ipv4.ip_forward': 1,
  'net.ipv4.conf.all.rp_filter': 0,
  'net.ipv4.conf.default.rp_filter': 0,
  'net.ipv4.fib_multipath_hash_policy': 1,
  'net.ipv6.fib_multipath_hash_policy': 1,
};

function ip(...args: string[]): string {
  return execFileSync(labBin('ip'), args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export class Namespace {
  readonly name: string;
  readonly short: string;
  readonly lab: Lab;

  constructor(lab: Lab, short: string, options: NamespaceOptions) {
    this.lab = lab;
    this.short = short;
    this.name = `tg-${process.pid}-${++counter}-${short}`;
    ip('netns', 'add', this.name);
    const settings = { ...SYSCTL, ...options.sysctl };
    const script = Object.entries(settings).map(
      ([k, v]) => `echo ${v} > /proc/sys/${k.replaceAll('.', '/')} || exit 1`,
    );
    script.push('ip link set lo up');
    if (options.ipv4 === false) script.push('ip -4 address flush dev lo');
    this.sh(script.join('\n'));
  }

  /** Words in front of a command that put it into this namespace; `ip` becomes the command, so pids stay true. */
  get prefix(): string[] {
    return [labBin('ip'), 'netns', 'exec', this.name];
  }

  /** Runs a shell line and returns its stdout. For set-up: it blocks. */
  sh(script: string): string {
    const argv = [...this.prefix, 'sh', '-ec', script];
    return execFileSync(argv[0], argv.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** `ip` in this namespace: `ns.ip('route', 'add', …)`. */
  ip(...args: string[]): string {
    return ip('-n', this.name, ...args);
  }

  /** Adds addresses without duplicate address detection. */
  address(dev: string, ...addresses: string[]): void {
    for (const a of addresses) this.ip('address', 'add', a, 'dev', dev, ...(a.includes(':') ? ['nodad'] : []));
  }

  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return exec([...this.prefix, ...argv], options);
  }

  /** Starts a process in this namespace; it ends with the lab at the latest. */
  spawn(argv: readonly string[], options?: ProcOptions): Proc {
    return this.lab.own(new Proc([...this.prefix, ...argv], options));
  }

  /** The routes of the kernel as `ip -json route` prints them. */
  routes<T = Record<string, unknown>>(family: 4 | 6, ...filter: string[]): T[] {
    const text = this.ip(`-${family}`, '-json', 'route', 'show', ...filter);
    return text.trim() ? (JSON.parse(text) as T[]) : [];
  }

  /** Kills what still runs inside and removes the namespace. */
  remove(): void {
    remove(this.name);
  }
}

function remove(name: string): void {
  try {
    for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    ip('netns', 'del', name);
  } catch {
    // Gone already.
  }
}

/** Removes the namespaces of test processes that no longer exist. */
export function sweepLeftovers(): void {
  if (!existsSync('/run/netns')) return;
  for (const name of readdirSync('/run/netns')) {
    const pid = NAME.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) remove(name);
  }
}

/** One test's world. `const lab = new Lab(); afterAll(() => lab.close());` */
export class Lab {
  /** For configuration files, sockets and logs of peers; other users may pass through it. */
  readonly dir: string;
  private readonly namespaces: Namespace[] = [];
  private readonly procs: Proc[] = [];
  private readonly closers: (() => unknown)[] = [];

  constructor() {
    sweepLeftovers();
    this.dir = mkdtempSync(join(tmpdir(), 'tidegate-lab-'));
    chmodSync(this.dir, 0o755);
    labs.add(this);
  }

  namespace(name: string, options: NamespaceOptions = {}): Namespace {
    const ns = new Namespace(this, name, options);
    this.namespaces.push(ns);
    return ns;
  }

  /** A cable between two namespaces. */
  link(a: LinkEnd, b: LinkEnd): void {
    ip('link', 'add', a.dev, 'netns', a.ns.name, 'type', 'veth', 'peer', 'name', b.dev, 'netns', b.ns.name);
    for (const end of [a, b]) up(end);
  }

  /** A switch: a namespace of its own with a bridge that every end is plugged into. Returns it, so that a port can be taken down. */
  lan(name: string, ends: LinkEnd[]): Namespace {
    const sw = this.namespace(name);
    sw.ip('link', 'add', 'br0', 'type', 'bridge', 'stp_state', '0');
    sw.ip('link', 'set', 'br0', 'up');
    for (const [i, end] of ends.entries()) {
      const port = `p${i}`;
      ip('link', 'add', end.dev, 'netns', end.ns.name, 'type', 'veth', 'peer', 'name', port, 'netns', sw.name);
      sw.ip('link', 'set', port, 'master', 'br0', 'up');
      up(end);
    }
    return sw;
  }

  /** Registers a process to be stopped by `close()`. */
  own(proc: Proc): Proc {
    this.procs.push(proc);
    return proc;
  }

  /** Runs in `close()`, last registered first, before processes are stopped. */
  defer(fn: () => unknown): void {
    this.closers.push(fn);
  }

  /** Stops what was started, removes namespaces and files. Safe to call twice. */
  async close(): Promise<void> {
    for (const fn of this.closers.splice(0).reverse()) {
      try {
        await fn();
      } catch {
        // The rest is cleaned up all the same.
      }
    }
    await Promise.all(this.procs.splice(0).map((p) => p.stop(3_000)));
    this.closeNow();
  }

  /** The part of `close()` that works while the process exits. */
  closeNow(): void {
    for (const p of this.procs.splice(0)) p.signal('SIGKILL');
    for (const ns of this.namespaces.splice(0)) ns.remove();
    rmSync(this.dir, { recursive: true, force: true });
    labs.delete(this);
  }
}

/** Unplugs a port of a `lan` from its switch, or plugs it in again: nothing goes through, and neither end of the cable loses its carrier. */
export function setPort(sw: Namespace, index: number, forwards: boolean): void {
  sw.ip('link', 'set', `p${index}`, ...(forwards ? ['master', 'br0'] : ['nomaster']));
}

function up(end: LinkEnd): void {
  end.ns.ip('link', 'set', end.dev, 'up');
  end.ns.address(end.dev, ...(end.addresses ?? []));
}
