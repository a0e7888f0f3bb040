/** One module as it is written: names are not resolved yet. */

/** An OID value: `{ parent name(1) 2 }`. */
export interface OidAst {
  /** The first name; absent where the value begins with a number. */
  parent?: string;
  /** What follows it. A name without a number stands alone only in front. */
  arcs: number[];
}

export interface SyntaxAst {
  /** `INTEGER`, `OCTET STRING`, a type's name, …; `SEQUENCE OF` for a table, `SEQUENCE` for what a row is made of. */
  name: string;
  values?: Record<number, string>;
  /** The one size it may have. */
  size?: number;
  hint?: string;
  line: number;
}

export interface NodeAst {
  name: string;
  line: number;
  macro: string;
  oid?: OidAst;
  syntax?: SyntaxAst;
  index?: { name: string; implied: boolean }[];
  augments?: string;
  /** OBJECTS of a notification, VARIABLES of a v1 trap. */
  objects?: string[];
  /** TRAP-TYPE: ENTERPRISE, a name or a value in braces, and the number. */
  enterprise?: OidAst;
  specific?: number;
}

export interface ModuleAst {
  name: string;
  file: string;
  line: number;
  /** Symbol → the module it comes from, and the line that says so. */
  imports: Map<string, { from: string; line: number }>;
  nodes: NodeAst[];
  types: Map<string, SyntaxAst>;
}
