/** The figures of the LAN as people want them: goals, and ours beside keepalived's. */
import { type Goal, goalTable } from './goals.ts';
import { columns, type Outcome } from './scenario-run.ts';

/** Ours and what keepalived does there. A planned drain is an ordered end of keepalived: it knows no other way to step back. */
const BESIDE: [ours: string, keepalived: string][] = [
  ['vrrp: planned drain', 'keepalived: SIGTERM'],
  ['vrrp: SIGTERM', 'keepalived: SIGTERM'],
  ['vrrp: kill -9 of all', 'keepalived: kill -9 of all'],
  ['vrrp: the path goes silent', 'keepalived: the path goes silent'],
];

const ratio = (a: number, b: number): string => (b === 0 ? `${a} / 0` : (a / b).toFixed(2));

/** Goals of VRRP, layer 2 and a planned drain, and the ratios of gap and loss. */
export function compare(outcomes: readonly Outcome[]): string {
  const of = (name: string) => outcomes.find((o) => o.name === name);
  const rows = BESIDE.flatMap(([a, b]) => {
    const [ours, theirs] = [of(a), of(b)];
    if (!ours || !theirs) return [];
    return [
      [
        ...[a, `${ours.gap}`, `${theirs.gap}`, ratio(ours.gap, theirs.gap)],
        ...[`${ours.lost.length}`, `${theirs.lost.length}`, ratio(ours.lost.length, theirs.lost.length)],
      ],
    ];
  });
  const head = ['beside keepalived', 'gap ms', 'its gap ms', 'ratio', 'lost', 'its lost', 'ratio'];
  return `${goalTable(lanGoals(outcomes))}\n\n${columns(head, rows, 1)}`;
}

export function lanGoals(outcomes: readonly Outcome[]): Goal[] {
  const goals: Goal[] = [];
  const gap = (name: string, goal: number, what: string) => {
    const o = outcomes.find((x) => x.name === name);
    if (o) goals.push({ what, goal: `≤ ${goal} ms`, seen: `${o.gap} ms`, met: o.gap <= goal });
  };
  gap('vrrp: kill -9 of all', 450, 'VRRPv3 at 100 ms, all processes killed: gap');
  gap('vrrp: the path goes silent', 450, 'VRRPv3 at 100 ms, the path goes silent: gap');
  gap('l2: kill -9 of all', 1500, 'layer 2, all processes killed: gap');
  gap('l2: the path goes silent', 1500, 'layer 2, the path goes silent: gap');
  for (const name of ['vrrp: planned drain', 'l2: planned drain']) {
    const o = outcomes.find((x) => x.name === name);
    if (!o) continue;
    const [what, goal] = [`${name}: lost, informs retried`, '0, 0'];
    const seen = `${o.lost.length}, ${o.retries}`;
    goals.push({ what, goal, seen, met: seen === goal });
  }
  return goals;
}
