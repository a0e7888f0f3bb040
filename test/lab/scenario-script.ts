/**
 * A script that runs inside a namespace and is asked from outside it: one JSON object a line on its standard input, the answer with
 * the same `id` on its standard output. Lines without an `id` are what it has to say by itself.
 */
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Namespace } from './netns.ts';
import { NODE } from './peers.ts';
import type { Proc } from './proc.ts';

/** Words in front of a command whose process is not to wait for its turn. */
export const APART: readonly string[] = ['nice', '-n', '-15'];

export class Script {
  readonly proc: Proc;
  private readonly asked = new Map<number, { resolve: (value: unknown) => void; reject: (e: Error) => void }>();
  private next = 1;

  /**
   * `file` is beside this one; `config` is handed over as the only word of its command line. `apart`: it stands for a machine of its own,
   * so it comes before what shares this one.
   */
  constructor(
    ns: Namespace,
    file: string,
    config: unknown,
    onLine: (line: Record<string, unknown>) => void = () => {},
    apart = false,
  ) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    this.proc = ns.spawn([...(apart ? APART : []), NODE, path, JSON.stringify(config)], {
      stdin: true,
      onStdout: (text) => {
        const line = JSON.parse(text) as Record<string, unknown>;
        if (typeof line.id !== 'number') return onLine(line);
        const waits = this.asked.get(line.id);
        this.asked.delete(line.id);
        if (line.error !== undefined) waits?.reject(new Error(String(line.error)));
        else waits?.resolve(line.value);
      },
    });
    void this.proc.exited.then((exit) => {
      for (const w of this.asked.values())
        w.reject(new Error(`${file} ended with ${JSON.stringify(exit)}: ${this.proc.tail()}`));
      this.asked.clear();
    });
  }

  /** Asks and waits for the answer; rejects where the script refuses or ends. */
  ask<T>(what: string, more: Record<string, unknown> = {}): Promise<T> {
    const id = this.next++;
    return new Promise<T>((resolve, reject) => {
      if (!this.proc.alive) return reject(new Error(`the script ended: ${this.proc.tail()}`));
      this.asked.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.proc.child.stdin!.write(`${JSON.stringify({ id, what, ...more })}\n`);
    });
  }
}

export type Answers = Record<string, (question: Record<string, unknown>) => unknown>;

/** The script's side: answers until its standard input ends, then exits. */
export function answer(answers: Answers): void {
  const input = createInterface({ input: process.stdin });
  input.on('line', (text) => {
    const question = JSON.parse(text) as { id: number; what: string };
    const { id } = question;
    Promise.resolve()
      .then(() => answers[question.what](question))
      .then(
        (value) => say({ id, value: value ?? null }),
        (e: Error) => say({ id, error: e.message }),
      );
  });
  input.on('close', () => process.exit(0));
}

export function say(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** What the script was started with. */
export function scriptConfig<T>(): T {
  return JSON.parse(process.argv[2]) as T;
}
