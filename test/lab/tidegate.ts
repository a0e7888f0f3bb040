/** The product as a child process: a node of the lab, on loopback or in a namespace. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { call } from '../../src/admin/client.ts';
import { eventErrors } from '../schema.ts';
import type { Namespace } from './netns.ts';
import { NODE, REPO } from './peers.ts';
import { commandLine, descendants, type ExecOptions, type ExecResult, type Exit, exec, Proc } from './proc.ts';
import { type WaitOptions, waitFor } from './wait.ts';

/** A structured CloudEvent as `tidegate` prints it, one a line. */
export interface PrintedEvent {
  specversion: string;
  id: string;
  source: string;
  type: string;
  time: string;
  subject: string;
  tidegatenode?: string;
  data: Record<string, unknown>;
}

export type LogLine = Record<string, unknown> & { msg?: string };

export interface TidegateOptions {
  /** The configuration: an object or YAML text. `data_dir` is added where it is absent; see `dir`. */
  config: Record<string, unknown> | string;
  /** Where it runs; absent: on this machine, so bind loopback and port 0 only. */
  ns?: Namespace;
  /** More words after `run -c FILE`. */
  args?: string[];
  env?: Record<string, string | undefined>;
  /** A folder to go on with (restart on the same spool); absent: a fresh one, removed by `close()`. */
  dir?: string;
  /** Words to put in front of the command: `strace -f …`. */
  wrap?: string[];
  /** Another way to start the product than `node src/main.ts`: the packed package. */
  command?: string[];
  /** Return without waiting for the ready line. */
  noWait?: boolean;
}

/** The command that runs the product from source. */
export const TIDEGATE: readonly string[] = [NODE, join(REPO, 'src/main.ts')];

/** Runs one verb to its end: `tidegateCli(['check', '-c', file])`. A non-zero exit is returned, not thrown. */
export function tidegateCli(args: readonly string[], options: ExecOptions & { ns?: Namespace } = {}) {
  const argv = [...(options.ns?.prefix ?? []), ...TIDEGATE, ...args];
  return exec(argv, { allowFailure: true, ...options });
}

/** A TCP port of loopback that was free a moment ago; for peers that cannot be told to choose one themselves. */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export class Tidegate {
  readonly dir: string;
  readonly configFile: string;
  readonly proc: Proc;
  /** Every line of stderr that is JSON, in order; others are in `proc.err`. */
  readonly logs: LogLine[] = [];
  /** Every event printed on stdout, in order. */
  readonly events: PrintedEvent[] = [];
  /** What is wrong with events that do not fit their schema; `waitEvents`, `spooled` and `close` throw for the first. */
  private readonly unsound: string[] = [];
  private readonly options: TidegateOptions;
  private readonly ownDir: boolean;

  private constructor(options: TidegateOptions) {
    this.options = options;
    this.ownDir = options.dir === undefined;
    this.dir = options.dir ?? mkdtempSync(join(options.ns?.lab.dir ?? tmpdir(), 'tidegate-'));
    mkdirSync(this.dir, { recursive: true });
    this.configFile = join(this.dir, 'tidegate.yaml');
    const { config } = options;
    const text =
      typeof config === 'string'
        ? `${config}${/^data_dir:/m.test(config) ? '' : `\ndata_dir: ${join(this.dir, 'data')}\n`}`
        : stringify({ data_dir: join(this.dir, 'data'), ...config });
    writeFileSync(this.configFile, text);
    const command = options.command ?? TIDEGATE;
    const argv = [...(options.wrap ?? []), ...command, 'run', '-c', this.configFile, ...(options.args ?? [])];
    const procOptions = {
      cwd: this.dir,
      env: options.env,
      onStdout: (line: string) => this.onStdout(line),
      onStderr: (line: string) => this.onStderr(line),
    };
    this.proc = options.ns ? options.ns.spawn(argv, procOptions) : new Proc(argv, procOptions);
  }

  /** Starts the product and waits until all is bound (`"msg":"ready"`). Throws with its log where it ends before. */
  static async start(options: TidegateOptions): Promise<Tidegate> {
    const t = new Tidegate(options);
    if (!options.noWait) await t.waitReady();
    return t;
  }

  /** The same node again on the same data: after `sigterm()` or `kill9()`. */
  restart(changes: Partial<TidegateOptions> = {}): Promise<Tidegate> {
    return Tidegate.start({ ...this.options, ...changes, dir: this.dir });
  }

  private onStdout(line: string): void {
    try {
      this.events.push(this.judged(JSON.parse(line) as PrintedEvent));
    } catch {
      this.proc.out.push(line);
    }
  }

  /** Holds an event against its schema. Lines of other formats (onap, telegraf, …) are no CloudEvents. */
  private judged(event: PrintedEvent): PrintedEvent {
    const found = event.specversion === undefined ? [] : eventErrors(event);
    if (found.length > 0) this.unsound.push(`${found.join('\n')}\n${JSON.stringify(event)}`);
    return event;
  }

  private assertSound(): void {
    if (this.unsound.length > 0) throw new Error(`${this.unsound.length} events are unsound: ${this.unsound[0]}`);
  }

  private onStderr(line: string): void {
    try {
      this.logs.push(JSON.parse(line) as LogLine);
    } catch {
      this.proc.err.push(line);
    }
  }

  get pid(): number {
    return this.proc.pid;
  }

  get dataDir(): string {
    return join(this.dir, 'data');
  }

  /** The log line of the moment all was bound, with the real addresses. */
  get ready(): LogLine | undefined {
    return this.logs.find((l) => l.msg === 'ready');
  }

  async waitReady(options?: WaitOptions): Promise<LogLine> {
    const line = await waitFor(() => this.ready ?? !this.proc.alive, 'tidegate to be ready', options);
    if (line === true || !this.ready)
      throw new Error(`tidegate ended with ${JSON.stringify(this.proc.exit)}:\n${this.said()}`);
    return this.ready;
  }

  /** Waits until a log line fits. */
  waitLog(fits: (line: LogLine) => boolean, what: string, options?: WaitOptions): Promise<LogLine> {
    return waitFor(() => this.logs.find(fits), `${what} in the log of tidegate`, options);
  }

  /** Waits until `count` printed events fit, and returns all that do. */
  waitEvents(fits: (e: PrintedEvent) => boolean, count: number, options?: WaitOptions): Promise<PrintedEvent[]> {
    return waitFor(
      () => {
        this.assertSound();
        const found = this.events.filter(fits);
        if (found.length >= count) return found;
        throw new Error(`${found.length} of ${count}`);
      },
      `${count} events on stdout`,
      options,
    );
  }

  /** The end of what it said on stderr. */
  said(count = 30): string {
    return [...this.logs.map((l) => JSON.stringify(l)), ...this.proc.err].slice(-count).join('\n');
  }

  /** A verb of the command line against this instance: same configuration file, same namespace. */
  cli(verb: string[], options: ExecOptions = {}): Promise<ExecResult> {
    const argv = [
      ...(this.options.ns?.prefix ?? []),
      ...(this.options.command ?? TIDEGATE),
      ...verb,
      '-c',
      this.configFile,
    ];
    return exec(argv, { allowFailure: true, cwd: this.dir, ...options });
  }

  /** The same with `-o json`, parsed; throws on a non-zero exit. */
  async json<T = Record<string, unknown>>(verb: string[]): Promise<T> {
    const done = await this.cli([...verb, '-o', 'json'], { allowFailure: false });
    return JSON.parse(done.stdout) as T;
  }

  status<T = Record<string, unknown>>(): Promise<T> {
    return this.json<T>(['status']);
  }

  /** The events of a type (absent: of every type) in the spool, as `spool export` prints them; each is held against its schema. */
  async spooled(type?: string): Promise<PrintedEvent[]> {
    const only = type === undefined ? [] : ['--type', type];
    const done = await this.cli(['spool', 'export', ...only], { allowFailure: false });
    if (done.stderr !== '') throw new Error(done.stderr);
    const events = done.stdout.split('\n').filter(Boolean);
    const found = events.map((line) => this.judged(JSON.parse(line) as PrintedEvent));
    this.assertSound();
    return found;
  }

  /** What the verbs ask over admin.sock, without the time that starting one takes. `path`: below /api/v1. */
  async api<T = Record<string, unknown>>(method: 'GET' | 'POST', path: string): Promise<T> {
    return (await call(join(this.dataDir, 'admin.sock'), method, `/api/v1${path}`)) as T;
  }

  /** The pids of the processes under the supervisor whose command line fits: ingest workers, the speaker. */
  children(pattern: RegExp = /./): number[] {
    return descendants(this.pid).filter((pid) => pattern.test(commandLine(pid)));
  }

  signal(signal: NodeJS.Signals): void {
    this.proc.signal(signal);
  }

  /** An orderly stop; the caller asserts the exit. */
  async sigterm(ceiling = 60_000): Promise<Exit> {
    this.proc.signal('SIGTERM');
    await waitFor(() => this.proc.exit, 'tidegate to end after SIGTERM', { ceiling });
    return this.proc.exit!;
  }

  /** Kills all its processes, children first, so that none can say goodbye for another. */
  async kill9(): Promise<Exit> {
    for (const pid of descendants(this.pid).reverse()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    return this.proc.kill9();
  }

  /** Ends it and removes its folder, unless that was the caller's. Throws where an event that was seen broke its schema. */
  async close(): Promise<void> {
    if (this.proc.alive) await this.proc.stop(20_000);
    if (this.ownDir) rmSync(this.dir, { recursive: true, force: true });
    this.assertSound();
  }
}

/** Where a collector really listens, as the ready line says: `ADDR:PORT` of each listener in the order of the configuration. */
export function listening(t: Tidegate, collector: string): string[] {
  const all = (t.ready?.listening ?? []) as { collector: string; address: string }[];
  return all.filter((l) => l.collector === collector).map((l) => l.address);
}
