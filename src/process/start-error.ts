/** Start-up that cannot go on: the message says what to do. `exit` is the process's exit code. */
export class StartError extends Error {
  readonly exit: number;
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}
