/** A table as modules again, so that a compiled file and a folder of sources make one table. Textual conventions are those that its objects use. */
import type { MibModule, MibNode } from './model.ts';
import type { MibTable } from './table.ts';

export function modulesOf(table: MibTable): MibModule[] {
  const modules = new Map<string, MibModule>();
  const { rows, notifications } = table.text;
  // Node numbers go by depth, so a parent's OID is known before its children's.
  const oids: string[] = [''];
  for (let i = 0; i < table.size; i++) {
    const [first, end] = table.children(i);
    for (let c = first; c < end; c++) oids[c] = i === 0 ? String(table.arc(c)) : `${oids[i]}.${table.arc(c)}`;
    const name = table.moduleOf(i);
    if (i === 0 || name === '' || !table.hasName(i)) continue;
    let module = modules.get(name);
    if (!module) {
      module = { name, nodes: [], types: {} };
      modules.set(name, module);
    }
    const node: MibNode = { name: table.name(i), oid: oids[i], kind: table.kind(i) };
    const type = table.type(i);
    if (type) {
      node.type = type;
      if (type.tc !== undefined) module.types[type.tc] ??= type;
    }
    module.nodes.push(node);
  }
  for (const module of modules.values())
    for (const node of module.nodes) {
      const i = table.exact(node.oid);
      const row = rows[i];
      if (row)
        node.index = row.parts.map((p, at) => ({
          name: p < 0 ? '?' : table.name(p),
          ...(p < 0 ? {} : { oid: oids[p] }),
          ...(row.implied && at === row.parts.length - 1 ? { implied: true } : {}),
        }));
      if (notifications[i]) node.objects = notifications[i].map((o) => oids[o]);
    }
  return [...modules.values()];
}
