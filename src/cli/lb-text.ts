/** The announcement of the VIPs for people: one table for each way, and below each row what is wrong with it. */
import { rfc3339Millis } from '../core/time.ts';
import { formatDuration } from '../core/units.ts';
import type { LbView } from '../process/explain-vip.ts';

type Peer = NonNullable<LbView['peers']>[number];

/** `nowMs`: UTC. */
export function lbText(lb: LbView, nowMs: number): string {
  const { decision } = lb;
  const since = lb.grade_since === undefined ? '' : ` since ${rfc3339Millis(lb.grade_since)}`;
  const lines = [`VIP  grade ${decision?.grade ?? 'unknown'}${since}${lb.draining ? '  (draining)' : ''}`];
  for (const r of decision?.reasons ?? []) lines.push(`  because ${r}`);
  if (lb.silent !== undefined) lines.push('  the speaker does not answer');
  lines.push(...drain(lb), ...vips(lb, nowMs), ...bgp(lb), ...vrrp(lb), ...layer2(lb), ...cluster(lb), ...speaker(lb));
  return lines.join('\n');
}

/** A column is as wide as its widest cell; the last one is not padded. `below`: lines under a row. */
function table(head: string[], rows: { cells: (string | undefined)[]; below?: string[] }[]): string[] {
  const width = head.map((h, i) => Math.max(h.length, ...rows.map((r) => (r.cells[i] ?? '').length)));
  const line = (cells: (string | undefined)[]) =>
    `  ${cells.map((c, i) => (c ?? '').padEnd(i === cells.length - 1 ? 0 : width[i])).join('  ')}`.trimEnd();
  return [line(head), ...rows.flatMap((r) => [line(r.cells), ...(r.below ?? []).map((b) => `    ${b}`)])];
}

const yes = (b: boolean | undefined) => (b ? 'yes' : 'no');

function drain({ drain: d }: LbView): string[] {
  if (!d) return [];
  const limit = d.limit_reached ? ', limit reached: the VIPs are still in use' : '';
  const lost = d.answers_lost > 0 ? `, ${d.answers_lost} answers lost` : '';
  return [`  drain: ${d.phase}, silent for ${formatDuration(d.silent_ms)}, ${d.sessions} sessions${lost}${limit}`];
}

function vips(lb: LbView, nowMs: number): string[] {
  if (!lb.vips?.length) return [];
  const rows = lb.vips.map((v) => {
    const last = v.last_packet;
    const seen =
      last === undefined ? 'never' : `${rfc3339Millis(last)} (${formatDuration(Math.max(0, nowMs - last))} ago)`;
    const owner = v.mode === 'owner' ? (v.preferred ? 'owner, preferred' : 'owner') : '';
    const to = v.peers.filter((p) => p.announced).length;
    const announced = v.announced && v.peers.length > 0 ? `to ${to} of ${v.peers.length}` : yes(v.announced);
    const below = [
      v.error === undefined ? undefined : `! cannot be bound: ${v.error}`,
      v.duplicate && `! ${v.duplicate.mac} has the address too`,
      v.obstacle === undefined ? undefined : `- ${v.obstacle}`,
      ...v.peers.map((p) => (p.obstacle === undefined ? undefined : `- ${p.peer}: ${p.obstacle}`)),
    ];
    return {
      cells: [v.name, v.address, v.back_end, announced, v.interface ?? 'none', owner, seen],
      below: below.filter((b) => b !== undefined),
    };
  });
  return table(['NAME', 'ADDRESS', 'BY', 'ANNOUNCED', 'ON', 'MODE', 'LAST PACKET'], rows);
}

const FAMILY: Record<string, string> = { '1/1': 'ipv4', '2/1': 'ipv6' };

function bgp(lb: LbView): string[] {
  const out = lb.peers?.length || lb.listen_problems?.length ? ['', `BGP  router id ${lb.router_id}`] : [];
  for (const problem of lb.listen_problems ?? []) out.push(`  ! not listening: ${problem}`);
  if (!lb.peers?.length) return out;
  const rows = lb.peers.map((p) => ({
    cells: [
      p.peer,
      String(p.asn),
      p.state,
      p.established_since === undefined ? '' : rfc3339Millis(p.established_since),
      p.dialled_by ?? '',
      p.hold_time === undefined ? '' : `${p.hold_time}s`,
      String(p.prefixes_sent),
      p.end_of_rib.map((f) => FAMILY[f] ?? f).join(','),
      p.bfd ? `${p.bfd.state}, ${p.bfd.detection_time}ms` : '',
      [p.md5 && 'md5', p.tcp_ao && 'tcp-ao', p.gtsm && 'gtsm'].filter(Boolean).join(','),
    ],
    below: peerNotes(p),
  }));
  const head = ['PEER', 'AS', 'STATE', 'SINCE', 'BY', 'HOLD', 'ROUTES', 'END-OF-RIB', 'BFD', 'GUARD'];
  return [...out, ...table(head, rows)];
}

function peerNotes(p: Peer): string[] {
  const out: string[] = [];
  if (p.pending?.length) out.push(`- from the next session on: ${p.pending.join(', ')}`);
  if (p.bfd?.error !== undefined) out.push(`! BFD: ${p.bfd.error}`);
  if (p.bfd?.ending) out.push('- BFD is no longer configured here; it goes on until the router ends it');
  if (p.role !== undefined)
    out.push(`- role ${p.role}${p.peer_role === undefined ? '' : `, the peer is ${p.peer_role}`}`);
  const { last_down: down, last_notification: n } = p;
  if (p.state !== 'Established' && down) out.push(`! ${rfc3339Millis(down.at)} ${down.reason}`);
  if (n) {
    const from = n.from === 'peer' ? 'the peer said' : 'we said';
    const text = n.text === undefined ? '' : `: ${n.text}`;
    out.push(`- ${rfc3339Millis(n.at)} ${from} ${n.name}${n.hard ? ' (Hard Reset)' : ''}${text}`);
  }
  return out;
}

function vrrp({ vrrp: v }: LbView): string[] {
  if (!v || v.routers.length + v.foreign.length === 0) return [];
  const rows = v.routers.map((r) => ({
    cells: [
      r.name,
      r.interface,
      r.state,
      rfc3339Millis(r.since),
      String(r.priority),
      r.active ? (r.active.self ? 'this node' : `${r.active.address} (${r.active.priority})`) : 'nobody',
      `${r.advert_interval}ms`,
      r.vips.map((a) => `${a.address}${a.bound ? '' : ' (not here)'}`).join(' '),
    ],
    below: [
      `- ${r.reason}`,
      ...(r.error === undefined ? [] : [`! ${r.error}`]),
      ...r.rivals.map((x) => `! ${x.source} (priority ${x.priority}) is active too, ${rfc3339Millis(x.last_seen)}`),
      ...Object.entries(r.refused).map(([code, count]) => `- refused ${code}: ${count}`),
    ],
  }));
  const head = ['ROUTER', 'ON', 'STATE', 'SINCE', 'PRIORITY', 'ACTIVE', 'INTERVAL', 'ADDRESSES'];
  const foreign = v.foreign.map(
    (f) =>
      `  foreign: VRID ${f.vrid} (${f.family}) of ${f.source} on ${f.interface}, ${f.addresses.join(' ')}, ${rfc3339Millis(f.last_seen)}`,
  );
  return ['', 'VRRP', ...(rows.length > 0 ? table(head, rows) : []), ...foreign];
}

function layer2({ l2 }: LbView): string[] {
  if (!l2 || l2.vips.length === 0) return [];
  const names = l2.interfaces.map((i) => `${i.name} ${i.up ? 'up' : (i.error ?? 'down')}`).join(', ');
  const rows = l2.vips.map((v) => ({
    cells: [v.vip, v.address, v.state, v.interface ?? 'none', v.leader ?? 'nobody', v.holder ?? 'nobody'],
    below: v.obstacle === undefined ? [] : [`- ${v.obstacle}`],
  }));
  const head = ['VIP', 'ADDRESS', 'STATE', 'ON', 'LEADER', 'HOLDER'];
  return [
    '',
    `LAYER 2  ${names || 'no interface'}${l2.settled ? '' : '  (waiting for the cluster)'}`,
    ...table(head, rows),
  ];
}

function cluster({ cluster: c }: LbView): string[] {
  if (!c) return [];
  const skew = c.clock_skew_ms === undefined ? '' : `  clock ${-c.clock_skew_ms}ms from the others’`;
  const out = ['', `CLUSTER  ${c.node}  listens at ${c.listen}${c.settled ? '' : '  (not settled)'}${skew}`];
  if (c.error !== undefined) out.push(`  ! ${c.error}`);
  if (c.members.length === 0) return out;
  const rows = c.members.map((m) => ({
    cells: [
      m.node || '?',
      m.address,
      m.state,
      m.grade,
      String(m.weight),
      yes(m.hears_us),
      m.silent_ms === undefined ? 'never' : `${formatDuration(m.silent_ms)} ago`,
      m.clock_offset_ms === undefined ? '' : `${m.clock_offset_ms}ms`,
      m.vips === undefined ? '' : `${m.vips.filter((v) => v.state !== 'withdrawn').length} of ${m.vips.length}`,
    ],
  }));
  return [
    ...out,
    ...table(['NODE', 'ADDRESS', 'STATE', 'GRADE', 'WEIGHT', 'HEARS US', 'HEARD', 'CLOCK', 'VIPS'], rows),
  ];
}

function speaker(lb: LbView): string[] {
  if (lb.workers === undefined) return [];
  const leases = lb.workers.map((w) => `${w.worker} ${w.state}${w.age === undefined ? '' : ` ${w.age}ms`}`).join(', ');
  const late = lb.timer_late;
  const timers = late ? `, timers late: p99.9 ${late.p999.toFixed(1)}ms, worst ${late.max.toFixed(1)}ms` : '';
  return ['', `SPEAKER  ${lb.priority}${timers}`, `  leases: ${leases}`];
}
