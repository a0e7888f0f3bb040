/** What the MIB rooms talk about: modules, their nodes and types, as compiled from files or written down as facts. */

/** The SMI type below all textual conventions (RFC 2578 section 7.1, RFC 1155 section 3.2.3). */
export type Base =
  | 'integer'
  | 'unsigned'
  | 'counter32'
  | 'counter64'
  | 'timeticks'
  | 'octets'
  | 'oid'
  | 'ip-address'
  | 'network-address'
  | 'opaque'
  | 'bits';

export interface MibType {
  base: Base;
  /** The textual convention that was named, if one was. */
  tc?: string;
  /** DISPLAY-HINT (RFC 2579 section 3.1). */
  hint?: string;
  /** Labels of an enumeration by number, or of BITS by position. */
  values?: Record<number, string>;
  /** The one size an octet string may have: in an index it then has no length in front. */
  size?: number;
}

export type NodeKind = 'node' | 'scalar' | 'table' | 'row' | 'column' | 'notification';

export interface MibNode {
  name: string;
  /** Dotted numbers. */
  oid: string;
  kind: NodeKind;
  type?: MibType;
  /** Of a row: its index objects, in order. */
  index?: IndexPart[];
  /** Of a notification: the objects it names, in order. */
  objects?: string[];
}

export interface IndexPart {
  /** OID of the object; absent where the module that has it is not there. */
  oid?: string;
  name: string;
  /** IMPLIED (RFC 2578 section 7.7): the last part, without its length in front. */
  implied?: boolean;
}

export interface MibModule {
  name: string;
  nodes: MibNode[];
  types: Record<string, MibType>;
}

/** Something wrong with a file; the rest is compiled all the same. */
export interface MibProblem {
  file: string;
  /** 1-based; 0 where the file as a whole is meant. */
  line: number;
  message: string;
}
