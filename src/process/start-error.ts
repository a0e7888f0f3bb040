/** Start-up that cannot go on: the message says what to do. `exit` is the process's exit code. */
export class StartError extends Error {
  readonly exit: number;
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}

/** A data_dir whose content is somebody else's, as after a start as another user; undefined: it was something else. */
export function unwritable(e: unknown, dataDir: string): StartError | undefined {
  const { code, message } = e as NodeJS.ErrnoException;
  if (code !== 'EACCES' && code !== 'EPERM') return undefined;
  const who = process.getuid?.();
  return new StartError(
    `${message}: data_dir ${dataDir} and everything in it must be writable for uid ${who}: chown -R it, or start as who owns it`,
    78,
  );
}
