/** Folders and files of MIB modules → one compiled table. Whatever is wrong with a file costs that file; the others are compiled. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { sha256 } from '../core/hash.ts';
import { layOut } from '../mib/build.ts';
import { compileMibs, type SourceFile } from '../mib/compile.ts';
import { modulesOf } from '../mib/decompile.ts';
import { builtinModules } from '../mib/facts.ts';
import type { MibModule, MibProblem } from '../mib/model.ts';
import { decodeTable, encodeTable, TABLE_VERSION } from '../mib/table.ts';

/** What folders of modules have in them; anything else is passed over. */
const EXTENSIONS = new Set(['', '.mib', '.my', '.txt', '.smi', '.smiv1', '.smiv2', '.asn', '.asn1', '.tgmib']);
/** Modules are texts; the largest known ones have a few MiB. */
const MAX_BYTES = 64 * 1024 * 1024;

export interface MibFile {
  path: string;
  size: number;
  mtimeMs: number;
}

export interface CompiledMibs {
  table: Buffer;
  /** Of the files, not of the built-in facts. */
  modules: { name: string; nodes: number }[];
  files: number;
  nodes: number;
  problems: MibProblem[];
}

/** Every file below the paths, in order of their names; folders in folders are looked through. */
export function listMibFiles(paths: readonly string[]): { files: MibFile[]; problems: MibProblem[] } {
  const files: MibFile[] = [];
  const problems: MibProblem[] = [];
  const visit = (path: string, named: boolean, depth: number): void => {
    try {
      const s = statSync(path);
      if (s.isDirectory()) {
        if (depth > 8) return;
        for (const name of readdirSync(path).sort())
          if (!name.startsWith('.')) visit(join(path, name), false, depth + 1);
      } else if (s.isFile() && (named || EXTENSIONS.has(extname(path).toLowerCase()))) {
        if (s.size > MAX_BYTES) problems.push({ file: path, line: 0, message: `larger than ${MAX_BYTES} bytes` });
        else files.push({ path, size: s.size, mtimeMs: s.mtimeMs });
      }
    } catch (e) {
      problems.push({ file: path, line: 0, message: `cannot be read: ${(e as Error).message}` });
    }
  };
  for (const path of paths) visit(path, true, 0);
  return { files, problems };
}

/** Equal for equal files: a table compiled from them may be used again. */
export function keyOf(files: readonly MibFile[], version: string): string {
  return sha256(JSON.stringify([TABLE_VERSION, version, files])).slice(0, 32);
}

/** Never throws; what cannot be read is a problem. */
export function compileMibFiles(paths: readonly string[]): CompiledMibs {
  const { files, problems } = listMibFiles(paths);
  const sources: SourceFile[] = [];
  const ready: MibModule[] = [];
  for (const f of files) {
    let bytes: Buffer;
    try {
      bytes = readFileSync(f.path);
    } catch (e) {
      problems.push({ file: f.path, line: 0, message: `cannot be read: ${(e as Error).message}` });
      continue;
    }
    if (bytes.toString('latin1', 0, 5) === 'TGMIB') {
      const table = decodeTable(bytes);
      if (typeof table === 'string') problems.push({ file: f.path, line: 0, message: table });
      else ready.push(...modulesOf(table));
    } else sources.push({ path: f.path, text: bytes.toString('utf8') });
  }
  const known = [...builtinModules(), ...ready];
  const compiled = compileMibs(sources, known);
  const laid = layOut([...known, ...compiled.modules]);
  const builtin = new Set(builtinModules().map((m) => m.name));
  const own = [...ready.filter((m) => !builtin.has(m.name)), ...compiled.modules];
  return {
    table: encodeTable(laid.text, laid.arrays),
    modules: own.map((m) => ({ name: m.name, nodes: m.nodes.length })),
    files: files.length,
    nodes: laid.arrays.arc.length,
    problems: [...problems, ...compiled.problems],
  };
}
