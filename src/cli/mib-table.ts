/** The MIB table a verb names OIDs with: of the configuration, of folders named on the command line, or the built-in facts. */
import { statSync } from 'node:fs';
import { Option } from 'commander';
import { type CompiledMibs, compileMibFiles } from '../config/mib-files.ts';
import { builtinNaming } from '../mib/builtin.ts';
import { decodeTable, type MibTable } from '../mib/table.ts';
import { type CliContext, CliError, configOf, EXIT } from './context.ts';

export interface MibOptions {
  config?: string;
  mibs?: string[];
}

export const mibsOption = (): Option =>
  new Option('-m, --mibs <path>', 'a folder or file of modules, or a compiled table; may be repeated').argParser(
    (path: string, before: string[] = []) => [...before, path],
  );

export function tableOf(ctx: CliContext, o: MibOptions): { table: MibTable; problems: CompiledMibs['problems'] } {
  const paths = o.mibs ?? (o.config === undefined ? [] : configOf(ctx, o.config).config.mibs.paths);
  if (paths.length === 0) return { table: builtinNaming().names.table, problems: [] };
  for (const p of o.mibs ?? []) {
    try {
      statSync(p);
    } catch (e) {
      throw new CliError(`${p}: ${(e as Error).message}`, EXIT.usage);
    }
  }
  const compiled = compileMibFiles(paths);
  const table = decodeTable(compiled.table);
  if (typeof table === 'string') throw new CliError(table, EXIT.failure);
  return { table, problems: compiled.problems };
}
