/** The inventory file: YAML or JSON, a list of devices. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { InventoryEntry } from '../inventory/inventory.ts';
import { engineId, ipAddress } from './fields.ts';
import { type ConfigProblem, parseYaml, problemsOf } from './yaml.ts';

const matchSchema = z
  .strictObject({
    network: z.string().optional(),
    address: ipAddress.optional(),
    engine_id: engineId.optional(),
    bgp_id: ipAddress.optional(),
    sys_name: z.string().optional(),
    target: z.string().optional(),
  })
  .refine(
    (m) => m.address ?? m.engine_id ?? m.bgp_id ?? m.sys_name ?? m.target,
    'one of address, engine_id, bgp_id, sys_name, target',
  );

export const inventorySchema = z.array(
  z.strictObject({
    id: z.string().min(1),
    name: z.string().min(1).optional(),
    site: z.string().optional(),
    vendor: z.string().optional(),
    role: z.string().optional(),
    tenant: z.string().optional(),
    tags: z.record(z.string(), z.string()).optional(),
    match: z.array(matchSchema).min(1),
  }),
);

/** Reads and validates the file; duplicate ids and matches that two devices claim are problems, too. */
export function loadInventory(file: string): { entries: InventoryEntry[]; problems: ConfigProblem[] } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (e) {
    return { entries: [], problems: [{ file, line: 0, path: '', message: `cannot be read: ${(e as Error).message}` }] };
  }
  const doc = parseYaml(file, text);
  if (doc.problems.length) return { entries: [], problems: doc.problems };
  const parsed = inventorySchema.safeParse(doc.value ?? []);
  if (!parsed.success) return { entries: [], problems: problemsOf(doc, parsed.error, inventorySchema) };
  const problems: ConfigProblem[] = [];
  const ids = new Set<string>();
  const claims = new Map<string, string>();
  const entries = parsed.data.map((d, i): InventoryEntry => {
    if (ids.has(d.id))
      problems.push({ file, line: doc.lineOf([i, 'id']), path: `${i}.id`, message: `id ${d.id} stands twice` });
    ids.add(d.id);
    for (const [j, m] of d.match.entries()) {
      const claim = JSON.stringify(m);
      const other = claims.get(claim);
      if (other !== undefined && other !== d.id)
        problems.push({
          file,
          line: doc.lineOf([i, 'match', j]),
          path: `${i}.match.${j}`,
          message: `also claimed by ${other}`,
        });
      claims.set(claim, d.id);
    }
    return { ...d, name: d.name ?? d.id };
  });
  return { entries: problems.length ? [] : entries, problems };
}
