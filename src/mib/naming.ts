import type { VarBind } from '../codec/snmp/message.ts';
import type { Naming, RenderedVarBind } from '../codec/snmp/render.ts';
import type { Names } from './names.ts';
import { renderVarBind } from './render.ts';
import { VarBindTexts } from './varbind-text.ts';

/** Names and texts from one table, as the codec's users take them. */
export class MibNaming implements Naming {
  readonly names: Names;
  readonly texts: VarBindTexts;

  constructor(names: Names) {
    this.names = names;
    this.texts = new VarBindTexts(names);
  }

  trap(oid: string): string | undefined {
    return this.names.trap(oid);
  }

  varbind(v: VarBind, all: readonly VarBind[]): RenderedVarBind {
    return renderVarBind(this.names, v, all);
  }
}
