/**
 * `tidegate config import snmptrapd.conf`. Secrets never go to the terminal unasked: with `-o` each is put into a file of its own that nobody
 * else reads, and the YAML names it; without, the YAML names files that are to be written.
 */
import { closeSync, lstatSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { type ImportedSecret, importSnmptrapd, withSecrets } from '../config/import-snmptrapd.ts';
import { type CliContext, CliError, EXIT } from './context.ts';

interface ImportOptions {
  output?: string;
  inline?: boolean;
}

export function importVerb(ctx: CliContext): Command {
  return new Command('import')
    .description('make a configuration file of a snmptrapd.conf; what has no counterpart is named with its line')
    .argument('<snmptrapd.conf>', 'the file')
    .option('-o, --output <file>', 'write the configuration there, and each secret to a file in FILE.secrets/')
    .option('--inline', 'put the secrets into the configuration itself')
    .action((file: string, o: ImportOptions) => run(ctx, file, o));
}

function run(ctx: CliContext, file: string, o: ImportOptions): void {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (e) {
    throw new CliError(`${file} cannot be read: ${e instanceof Error ? e.message : e}`, EXIT.failure);
  }
  const imported = importSnmptrapd(text);
  const at = (l: { line: number; text: string }): string => `${file}:${l.line}: ${l.text}`;
  if (imported.errors.length > 0) throw new CliError(imported.errors.map(at).join('\n'), EXIT.config);
  const dir = o.output === undefined ? 'secrets' : resolve(`${o.output}.secrets`);
  const say = (s: ImportedSecret): string =>
    o.inline ? s.value.replaceAll('$', '$$$$') : `\${file:${join(dir, s.name)}}`;
  const yaml = `# Imported from ${basename(file)}.\n${stringify(withSecrets(imported, say))}`;
  const notes = [...imported.notes].sort((a, b) => a.line - b.line).map(at);
  if (o.output === undefined) {
    ctx.out(yaml);
    if (!o.inline)
      for (const s of imported.secrets)
        notes.push(`${file}:${s.line}: put its secret into ${join(dir, s.name)}, or use -o or --inline`);
  } else {
    const secrets = o.inline ? [] : imported.secrets.map((x) => ({ path: join(dir, x.name), text: x.value }));
    try {
      writeNew({ path: resolve(o.output), text: yaml }, secrets, dir);
    } catch (e) {
      throw new CliError(`${o.output} cannot be written: ${e instanceof Error ? e.message : e}`, EXIT.failure);
    }
    notes.push(`${o.output} is written; try it: tidegate check -c ${o.output}`);
  }
  if (notes.length > 0) ctx.err(`${notes.join('\n')}\n`);
}

interface NewFile {
  path: string;
  text: string;
}

/**
 * A file and the secrets it names in a folder beside it: all, or nothing. What is there is never touched, and what was made before a failure is
 * taken back. The file goes last: where it is, its secrets are. Throws.
 */
function writeNew(file: NewFile, secrets: NewFile[], secretDir: string): void {
  for (const { path } of [file, ...secrets])
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined)
      throw new Error(`${path} is there already: choose another name, or move it away`);
  const made: string[] = [];
  const folder = (dir: string, mode: number): void => {
    const first = mkdirSync(dir, { recursive: true, mode });
    if (first !== undefined) made.push(first);
  };
  try {
    folder(dirname(file.path), 0o777);
    if (secrets.length > 0) folder(secretDir, 0o700);
    for (const { path, text } of [...secrets, file]) {
      const fd = openSync(path, 'wx', 0o600);
      made.push(path);
      try {
        writeFileSync(fd, text);
      } finally {
        closeSync(fd);
      }
    }
  } catch (e) {
    for (const path of made.reverse()) rmSync(path, { recursive: true, force: true });
    throw e;
  }
}
