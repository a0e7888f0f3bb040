/** Goals beside what was seen: printed, never asserted, because they depend on the machine. */
import { columns } from './scenario-run.ts';

export interface Goal {
  what: string;
  goal: string;
  seen: string;
  met: boolean;
}

export function goalTable(goals: readonly Goal[]): string {
  const rows = goals.map((g) => [g.what, g.goal, g.seen, g.met ? 'yes' : 'NO']);
  return columns(['goal', '', 'seen', 'met'], rows, 1);
}
