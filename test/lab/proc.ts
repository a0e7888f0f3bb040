/** Child processes of a test: tracked by pid, their output kept, ended with the test process whatever happens to it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type WaitOptions, waitFor } from './wait.ts';

export interface ProcOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Called with each whole line of stdout; else the lines are kept in `out`. */
  onStdout?: (line: string) => void;
  onStderr?: (line: string) => void;
  /** Keep its standard input open to write to; else it has none. */
  stdin?: boolean;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ExecResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface ExecOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  input?: string;
  /** Return a non-zero exit instead of throwing. */
  allowFailure?: boolean;
  /** Milliseconds after which the program is ended and the call throws. */
  ceiling?: number;
}

const running = new Set<Proc>();

// Vitest ends a worker without asking tests that hang: nothing of ours may outlive it.
process.on('exit', () => {
  for (const p of running) p.signal('SIGKILL');
});

export class Proc {
  readonly name: string;
  readonly child: ChildProcess;
  /** Whole lines so far, unless a callback takes them. */
  readonly out: string[] = [];
  readonly err: string[] = [];
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;

  constructor(argv: readonly string[], options: ProcOptions = {}) {
    this.name = argv[0].split('/').at(-1)!;
    this.child = spawn(argv[0], argv.slice(1), {
      stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
    });
    running.add(this);
    lines(this.child.stdout!, options.onStdout ?? ((line) => this.out.push(line)));
    lines(this.child.stderr!, options.onStderr ?? ((line) => this.err.push(line)));
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        this.exit ??= exit;
        running.delete(this);
        resolve(this.exit);
      };
      this.child.on('error', (error) => {
        this.err.push(String(error));
        end({ code: 127, signal: null });
      });
      // `close` and not `exit`: all output has been read by then.
      this.child.on('close', (code, signal) => end({ code, signal }));
      // A grandchild that keeps the pipe open must not keep us waiting for ever.
      this.child.on('exit', (code, signal) => setTimeout(() => end({ code, signal }), 5_000).unref());
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get alive(): boolean {
    return this.exit === undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Sends a signal to this process only. */
  signal(signal: NodeJS.Signals): void {
    if (this.child.pid !== undefined && this.alive) this.child.kill(signal);
  }

  /** SIGTERM, and SIGKILL for who does not follow within `grace` milliseconds. */
  async stop(grace = 10_000): Promise<Exit> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), grace);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  async kill9(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  /** Waits for a line of stdout or stderr that matches; throws with the output where the process ended before. */
  async waitForLine(pattern: RegExp, options?: WaitOptions): Promise<string> {
    let ended = false;
    const line = await waitFor(
      () => {
        const hit = this.out.find((l) => pattern.test(l)) ?? this.err.find((l) => pattern.test(l));
        if (!hit && !this.alive) ended = true;
        return hit ?? ended;
      },
      `${pattern} from ${this.name}`,
      options,
    );
    if (typeof line !== 'string') throw new Error(`${this.name} ended: ${JSON.stringify(this.exit)}\n${this.tail()}`);
    return line;
  }

  /** The end of what it said, for the message of a failing test. */
  tail(count = 20): string {
    return [...this.out.slice(-count), ...this.err.slice(-count)].join('\n');
  }
}

/** Splits a stream into lines. */
export function lines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    for (const part of parts) onLine(part);
  });
  stream.on('end', () => {
    if (rest) onLine(rest);
  });
}

/** Runs a program to its end without blocking the test's own event loop. */
export function exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      argv[0],
      argv.slice(1),
      {
        encoding: 'utf8',
        maxBuffer: 1 << 28,
        timeout: options.ceiling ?? 120_000,
        killSignal: 'SIGKILL',
        cwd: options.cwd,
        env: { ...process.env, ...options.env },
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        if (code !== 0 && !(options.allowFailure && code > 0))
          reject(new Error(`\`${argv.join(' ')}\` failed (${error?.signal ?? error?.code}): ${stderr || stdout}`));
        else resolve({ code, stdout, stderr });
      },
    );
    if (options.input !== undefined) child.stdin?.end(options.input);
    else child.stdin?.end();
  });
}

/** The pids of all descendants of a process, parents first. */
export function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
    } catch {
      // It ended while we looked.
    }
  }
  const found = [...(children.get(pid) ?? [])];
  for (let i = 0; i < found.length; i++) found.push(...(children.get(found[i]) ?? []));
  return found;
}

/** A process's command line, its words joined by spaces; empty where it is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}
