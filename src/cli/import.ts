/**
 * `tidegate config import snmptrapd.conf`. Secrets never go to the terminal unasked: with `-o` each is put into a file of its own that nobody
 * else reads, and the YAML names it; without, the YAML names files that are to be written.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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
    try {
      mkdirSync(dirname(resolve(o.output)), { recursive: true });
      if (!o.inline && imported.secrets.length > 0) {
        mkdirSync(dir, { recursive: true, mode: 0o700 });
        for (const s of imported.secrets) writeFileSync(join(dir, s.name), s.value, { mode: 0o600 });
      }
      writeFileSync(o.output, yaml, { mode: 0o600, flag: 'wx' });
    } catch (e) {
      throw new CliError(`${o.output} cannot be written: ${e instanceof Error ? e.message : e}`, EXIT.failure);
    }
    notes.push(`${o.output} is written; try it: tidegate check -c ${o.output}`);
  }
  if (notes.length > 0) ctx.err(`${notes.join('\n')}\n`);
}
