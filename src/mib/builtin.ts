/** The table of the built-in facts alone, and the names it gives: what runs without any MIB file. Made when it is first asked for. */
import { buildTable } from './build.ts';
import { builtinModules } from './facts.ts';
import { Names } from './names.ts';
import { MibNaming } from './naming.ts';

let naming: MibNaming | undefined;

export function builtinNaming(): MibNaming {
  naming ??= new MibNaming(new Names(buildTable(builtinModules())));
  return naming;
}
