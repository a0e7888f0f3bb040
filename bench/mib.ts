/**
 * What names, texts and alarms cost: a table of thousands of generated objects beside the built-in facts, OIDs that repeat (as they do)
 * and OIDs that never do. One JSON object.
 */
import { Buffer } from 'node:buffer';
import type { VarBind } from '../src/codec/snmp/message.ts';
import { Alarms } from '../src/collectors/snmp-trap/alarm.ts';
import { loadAlarms } from '../src/config/alarms-file.ts';
import { systemClock } from '../src/core/clock.ts';
import { layOut } from '../src/mib/build.ts';
import { compileMibs } from '../src/mib/compile.ts';
import { builtinModules } from '../src/mib/facts.ts';
import { Names } from '../src/mib/names.ts';
import { renderVarBind } from '../src/mib/render.ts';
import { decodeTable, encodeTable } from '../src/mib/table.ts';
import { generateModule, Random, SUPPORT } from '../test/mib/generator.ts';

const MODULES = 200;
const ROUNDS = 7;

function timed<T>(fn: () => T): { ms: number; value: T } {
  const t = systemClock.nowMs();
  const value = fn();
  return { ms: systemClock.nowMs() - t, value };
}

/** Microseconds for one of `list`; the best of some rounds. */
function each<T>(list: readonly T[], fn: (x: T) => unknown, before: () => void = () => {}): number {
  let best = Number.POSITIVE_INFINITY;
  for (let r = 0; r < ROUNDS; r++) {
    before();
    const { ms } = timed(() => {
      for (const x of list) fn(x);
    });
    best = Math.min(best, (1000 * ms) / list.length);
  }
  return Number(best.toFixed(3));
}

const generated = Array.from({ length: MODULES }, (_, k) => generateModule(1, k + 1));
const files = [
  ...generated.map((g) => ({ path: g.file, text: g.text })),
  ...Object.entries(SUPPORT).map(([path, text]) => ({ path, text })),
];
const compiled = timed(() => compileMibs(files, builtinModules()));
const laid = layOut([...builtinModules(), ...compiled.value.modules]);
const bytes = encodeTable(laid.text, laid.arrays);
const before = process.memoryUsage();
const loaded = timed(() => decodeTable(bytes));
const after = process.memoryUsage();
const table = loaded.value;
if (typeof table === 'string') throw new Error(table);

const r = new Random(7);
const many: VarBind[] = [];
while (many.length < 100_000)
  for (const v of r.pick(r.pick(generated).notifications).varbinds(r))
    many.push({
      oid: v.oid,
      type: v.type,
      value: typeof v.value === 'bigint' ? String(v.value) : (v.value as VarBind['value']),
      start: 0,
      end: 0,
    });
const few = Array.from({ length: 100_000 }, () => many[r.int(5000)]);

const int = (oid: string, value: number): VarBind => ({ oid, type: 'integer32', value, start: 0, end: 0 });
const linkDown = Array.from({ length: 500 }, (_, i) => ({
  trapOid: '1.3.6.1.6.3.1.1.5.3',
  uptime: i,
  agentAddress: undefined,
  trapAddress: undefined,
  enterprise: undefined,
  memo: undefined,
  varbinds: [
    int(`1.3.6.1.2.1.2.2.1.1.${i}`, i),
    int(`1.3.6.1.2.1.2.2.1.7.${i}`, 1),
    int(`1.3.6.1.2.1.2.2.1.8.${i}`, 2),
    {
      oid: `1.3.6.1.2.1.2.2.1.2.${i}`,
      type: 'octet-string' as const,
      value: Buffer.from(`xe-0/0/${i}`),
      start: 0,
      end: 0,
    },
  ],
}));
const repeated = Array.from({ length: 50_000 }, () => linkDown[r.int(linkDown.length)]);

let names = new Names(table);
const fresh = (): void => {
  names = new Names(table);
};
const { rules } = loadAlarms(undefined);
const alarms = new Alarms(rules, names);
const own = new Names(table);

console.log(
  JSON.stringify({
    modules: compiled.value.modules.length,
    nodes: table.size,
    compile_ms: Math.round(compiled.ms),
    table_bytes: bytes.length,
    load_ms: Number(loaded.ms.toFixed(1)),
    load_heap_bytes: after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers,
    name_unseen_us: each(many.slice(0, 16_000), (v) => names.object(v.oid), fresh),
    name_seen_us: each(few, (v) => own.object(v.oid)),
    varbind_unseen_us: each(many.slice(0, 16_000), (v) => renderVarBind(names, v, []), fresh),
    varbind_seen_us: each(few, (v) => renderVarBind(own, v, [])),
    link_down_varbinds_us: each(repeated, (n) => n.varbinds.map((v) => renderVarBind(own, v, n.varbinds))),
    link_down_alarm_us: each(repeated, (n) => alarms.of(n, 'default|192.0.2.1')),
  }),
);
