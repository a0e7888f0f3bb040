/** The members of the site as others see them. The UDP heartbeat is one way to know them; another may stand behind the same interface. */
import type { Member } from './machine.ts';
import type { Claim, Heartbeat } from './message.ts';

export type { Member, MemberState } from './machine.ts';
export type { Claim, ClaimState } from './message.ts';

export interface Self {
  node: string;
  site: string;
  /** UTC microseconds at which this membership began; names it. */
  boot: number;
  weight: number;
}

/** What a node says of itself to the others. */
export interface Say {
  grade: Heartbeat['grade'];
  /** It can hold layer-2 addresses. */
  fit: boolean;
  claims: Claim[];
  /** Share of the VIPs beside the others' weights; absent: that of the configuration. */
  weight?: number;
}

export interface Membership {
  readonly self: Self;
  /** The others; whoever was never heard is dead. */
  members(): readonly Member[];
  /** Every member was heard since the start, or there was time enough. Before, nothing may be taken. */
  readonly settled: boolean;
  /** Sent at once where it differs from what was said. */
  say(s: Partial<Say>): void;
  /** After each change of `members()`, `settled` or, by a second or more, of the clocks. Returns the way to stop. */
  onChange(fn: () => void): () => void;
}

/** For a node without a cluster: it is alone, and always was. */
export function soloMembership(self: Self): Membership {
  return { self, settled: true, members: () => [], say: () => {}, onChange: () => () => {} };
}

/**
 * How far our clock is behind the members' (milliseconds; negative: ahead): the median over those heard lately, of an even number the one of the two in the
 * middle that is nearer to ours. undefined: no member was heard.
 */
export function clockSkew(members: readonly Member[]): number | undefined {
  const offsets: number[] = [];
  for (const m of members) if (m.offset !== undefined) offsets.push(m.offset);
  if (offsets.length === 0) return undefined;
  offsets.sort((a, b) => a - b);
  const upper = offsets[offsets.length >> 1];
  const lower = offsets[(offsets.length - 1) >> 1];
  return Math.abs(lower) < Math.abs(upper) ? lower : upper;
}

/** The clock may differ from the members' by so much (milliseconds) before SNMPv3 informs are refused. */
export const MAX_CLOCK_SKEW = 30_000;

/** Why this node must not answer SNMPv3 informs and is degraded, or undefined: its clock is off from its cluster members'. */
export function clockProblem(skew: number | undefined): string | undefined {
  if (skew === undefined || Math.abs(skew) <= MAX_CLOCK_SKEW) return undefined;
  const way = skew > 0 ? 'behind' : 'ahead of';
  return `the clock is ${Math.round(Math.abs(skew) / 1000)} s ${way} the cluster members' clocks`;
}
