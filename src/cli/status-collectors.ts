/** What each collector of a worker says of itself, as lines for people. */
import type { TargetStatus } from '../collectors/gnmi/target.ts';

type Json = Record<string, unknown>;

/** The first line is for the name of the collector; those that follow are of its parts. */
export function collectorLines(name: string, c: Json): string[] {
  if (name === 'gnmi') return gnmi(c);
  if (name === 'snmp_trap') return snmp(c);
  return [counts(c)];
}

function gnmi({ targets, ...rest }: Json): string[] {
  const list = (targets ?? []) as TargetStatus[];
  const lines = [counts({ targets: list, ...rest })];
  for (const t of list)
    for (const s of t.subscriptions) {
      if (s.state === 'subscribed' || s.state === 'synced') continue;
      const e = s.last_error;
      const why = e === undefined ? 'no attempt has ended yet' : `${e.code}: ${e.detail}; ${e.fix}`;
      lines.push(`  ${e === undefined ? s.state : 'DOWN'} ${t.name} (${t.address}) ${s.name}: ${why}`);
    }
  return lines;
}

interface V3 {
  engine: { id: string; derived: boolean; boots: number; time: number; refusing_informs?: string };
  users: number;
  engines: number;
  usm_stats: Record<string, number>;
}

function snmp({ v3, ...rest }: Json): string[] {
  const lines = [counts(rest)];
  const v = v3 as V3 | undefined;
  if (v === undefined) return lines;
  const { id, derived, boots, time, refusing_informs: refusing } = v.engine;
  const own = `engine 0x${id}${derived ? ' (derived)' : ''} boots ${boots} time ${time}`;
  lines.push(`  v3  users ${v.users}  engines heard ${v.engines}  ${own}`);
  const stats = Object.entries(v.usm_stats ?? {}).filter(([, n]) => n > 0);
  if (stats.length > 0) lines.push(`      ${stats.map(([k, n]) => `${k} ${n}`).join('  ')}`);
  if (refusing !== undefined) lines.push(`      informs are refused: ${refusing}`);
  return lines;
}

/** `received 3  sessions 2`: a list by its length, what is empty or an object not at all. */
function counts(c: Json): string {
  return Object.entries(c)
    .filter(([, v]) => Array.isArray(v) || (typeof v !== 'object' && v !== undefined))
    .map(([k, v]) => `${k.replaceAll('_', ' ')} ${Array.isArray(v) ? v.length : v}`)
    .join('  ');
}
