/**
 * Which member of the site is the preferred one for a VIP: weighted rendezvous hashing over those that can take it. Everybody who sees the
 * same members names the same one, and a change of one member moves only what that member had or gets.
 */
import { hash } from 'node:crypto';
import type { Membership } from '../cluster/members.ts';
import type { Grade } from './grade.ts';

/** A member that lives. */
export interface Candidate {
  node: string;
  weight: number;
  grade: Grade;
}

const CACHE = 65_536;
const draws = new Map<string, number>();

/** A number in (0, 1) of the pair, the same on every node and in every version: the first 48 bits of SHA-256 over key, 0, node. */
function draw(key: string, node: string): number {
  const pair = `${key}\0${node}`;
  let d = draws.get(pair);
  if (d === undefined) {
    d = (Number.parseInt(hash('sha256', pair, 'hex').slice(0, 12), 16) + 0.5) / 2 ** 48;
    if (draws.size >= CACHE) draws.clear();
    draws.set(pair, d);
  }
  return d;
}

/** Its share of all keys is its weight's share of all weights (logarithmic method: the keys that move are as few as they can be). */
function score(key: string, c: Candidate): number {
  return c.weight / -Math.log(draw(key, c.node));
}

/** True where `a` comes before `b` for `key`: a full node before a degraded one before a dead one, then the higher score, then the name. */
export function better(key: string, a: Candidate, b: Candidate): boolean {
  if (a.grade !== b.grade) return a.grade === 'full' || b.grade === 'dead';
  const [x, y] = [score(key, a), score(key, b)];
  return x === y ? a.node < b.node : x > y;
}

/** The first one of `candidates` for `key`; none that is dead. */
export function preferredOf<C extends Candidate>(key: string, candidates: readonly C[]): C | undefined {
  let best: C | undefined;
  for (const c of candidates) if (c.grade !== 'dead' && (!best || better(key, c, best))) best = c;
  return best;
}

/** Mode `owner`: this node, whose grade is `grade`, is the preferred one for the VIP of that name. */
export function isPreferred(vip: string, membership: Membership, grade: Grade): boolean {
  const { self } = membership;
  const others = membership.members().filter((m) => m.state !== 'dead');
  const all: Candidate[] = [{ node: self.node, weight: self.weight, grade }, ...others];
  return preferredOf(vip, all)?.node === self.node;
}
