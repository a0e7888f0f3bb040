/** What every verb shares: output, configuration, the way to a running instance, exit codes. */
import { basename, dirname, join } from 'node:path';
import { call, NotAllowed, NotRunning, socketPath } from '../admin/client.ts';
import { type Loaded, loadConfig, loadLocation } from '../config/load.ts';
import { formatProblem } from '../config/yaml.ts';

export const EXIT = { ok: 0, failure: 1, usage: 64, config: 78 } as const;

/** Ends a verb with a message for the operator and an exit code. */
export class CliError extends Error {
  readonly exit: number;
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}

export interface CliContext {
  env: Record<string, string | undefined>;
  out: (text: string) => void;
  err: (text: string) => void;
  /** Standard output is a terminal. */
  tty: boolean;
  /** What to do when the reader of standard output went away; absent: the verb ends. */
  onOutputGone?: () => void;
}

/** Options most verbs have. */
export interface CommonOptions {
  config?: string;
  dataDir?: string;
  output?: string;
}

/** The configuration, or exit 78 with every problem on its own line. */
export function configOf(ctx: CliContext, file: string | undefined): Loaded {
  const loaded = loadConfig(file, ctx.env);
  if ('problems' in loaded) throw new CliError(loaded.problems.map(formatProblem).join('\n'), EXIT.config);
  return loaded;
}

/** The path of admin.sock. */
export function adminSocket(ctx: CliContext, o: CommonOptions): string {
  let dir = o.dataDir;
  let socket = 'admin.sock';
  if (dir === undefined) {
    const at = o.config === undefined ? undefined : loadLocation(o.config, ctx.env);
    if (at) ({ dataDir: dir, socket } = at);
    else {
      const { config } = configOf(ctx, o.config);
      dir = config.data_dir;
      socket = config.admin.socket;
    }
  }
  return socketPath(dir, socket);
}

/** Asks the running instance; where only its speaker runs here, or only that may be asked, the speaker. Ends with advice where nobody answers. */
export async function callInstance(
  ctx: CliContext,
  o: CommonOptions,
  method: 'GET' | 'POST',
  path: string,
): Promise<unknown> {
  const socket = adminSocket(ctx, o);
  try {
    return await call(socket, method, path);
  } catch (e) {
    if (!(e instanceof NotRunning) && !(e instanceof NotAllowed))
      throw new CliError((e as Error).message, EXIT.failure);
    const speaker = join(dirname(socket), `speaker-${basename(socket)}`);
    // What is said of the first door is what helps.
    return await call(speaker, method, path).catch(() => notRunning(e));
  }
}

/** Turns "nobody listens" into advice. */
export function notRunning(e: unknown): never {
  if (e instanceof NotRunning)
    throw new CliError(
      `${e.message}. Start it with \`npm start\`, or name its configuration with -c FILE (or its folder with --data-dir DIR)`,
      EXIT.failure,
    );
  throw new CliError((e as Error).message, EXIT.failure);
}

/** `-o json` prints the object, else `text` makes lines for people. */
export function print(ctx: CliContext, o: CommonOptions, value: unknown, text: () => string): void {
  ctx.out(o.output === 'json' ? `${JSON.stringify(value)}\n` : `${text().replace(/\n*$/, '')}\n`);
}
