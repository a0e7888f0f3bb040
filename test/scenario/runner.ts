/**
 * Drives a pure machine with a recording. `<folder>/input.jsonl` has one `{at, in}` a line (`at`: milliseconds), `output.jsonl` one
 * `{at, out}` for each effect, in order. An empty line or one that begins with `#` is a comment.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a machine.ts is to the runner. */
export interface Machine<Input, Effect> {
  handle(now: number, input: Input, out: Effect[]): void;
}

interface Step<Input> {
  at: number;
  in: Input;
}

export interface Outcome<Effect> {
  at: number;
  out: Effect;
}

function lines<T>(file: string): T[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((l) => l !== '' && !l.startsWith('#'))
    .map((l) => JSON.parse(l) as T);
}

/** The cases below `folder`: each sub-folder with an input. */
export function scenarios(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name)
    .sort();
}

/** Plays one case. Effects pass through JSON, which proves that they are plain. */
export function play<Input, Effect>(
  folder: string,
  machine: Machine<Input, Effect>,
): { actual: Outcome<Effect>[]; expected: Outcome<Effect>[] } {
  const actual: Outcome<Effect>[] = [];
  for (const step of lines<Step<Input>>(join(folder, 'input.jsonl'))) {
    const out: Effect[] = [];
    machine.handle(step.at, step.in, out);
    for (const e of out) actual.push(JSON.parse(JSON.stringify({ at: step.at, out: e })) as Outcome<Effect>);
  }
  return { actual, expected: lines<Outcome<Effect>>(join(folder, 'output.jsonl')) };
}
