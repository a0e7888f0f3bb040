/**
 * Which keys a user has on an engine, and may they be made now?
 *
 * Keys of a user of one engine, of our engine and of listed engines are made without asking. A new engine of a user for any engine costs
 * two or three small hashes: a budget for each source and for all bounds them. Where a megabyte has to be hashed the budget is much
 * smaller. Keys of an unlisted engine are kept only when a digest proved them.
 */
import type { Buffer } from 'node:buffer';
import { BoundedMap, Budget, type Rate } from './bounded.ts';
import type { LocalKeys } from './keys.ts';
import { pairKey, type User } from './users.ts';

export interface KeyBudgets {
  newEngine: Rate;
  /** Engines that cost a megabyte of hashing each. */
  costly: Rate;
}

export type KeyDenial = 'new-engine-budget' | 'user-keys-pending';

export interface KeyRequest {
  /** Milliseconds, monotonic. */
  now: number;
  source: string;
  user: User;
  /** latin1 text of the octets of msgUserName. */
  name: string;
  engineId: Buffer;
  /** Its latin1 text. */
  engine: string;
  /** Our own, or listed in the configuration. */
  expected: boolean;
  /** Our own: each user costs once. */
  local: boolean;
}

export class KeyRing {
  private readonly learned: BoundedMap<{ user: User; keys: LocalKeys }>;
  private readonly newEngine: Budget;
  private readonly costly: Budget;

  /** `limit`: (engine, user) pairs kept. */
  constructor(budgets: KeyBudgets, limit: number) {
    this.learned = new BoundedMap(limit);
    this.newEngine = new Budget(budgets.newEngine);
    this.costly = new Budget(budgets.costly);
  }

  get size(): number {
    return this.learned.size;
  }

  set(budgets: KeyBudgets, limit: number): void {
    this.learned.resize(limit);
    this.newEngine.set(budgets.newEngine);
    this.costly.set(budgets.costly);
  }

  /** The keys of a user who has some. Those not kept yet are given to `prove` when the digest was right. */
  find(r: KeyRequest): { keys: LocalKeys; fresh: boolean } | KeyDenial {
    const { user } = r;
    const single = user.spec.engineId !== undefined;
    if (single) {
      if (user.keys !== undefined) return { keys: user.keys, fresh: false };
    } else {
      const kept = this.learned.get(pairKey(r.engine, r.name));
      if (kept !== undefined && kept.user === user) return { keys: kept.keys, fresh: false };
    }
    const denied = this.deny(r, single);
    if (denied !== undefined) return denied;
    const keys = user.keysOn(r.engineId, r.local)!;
    if (single) user.keys = keys;
    else if (r.expected) this.prove(r, keys);
    return { keys, fresh: !single && !r.expected };
  }

  /** The digest was right. */
  prove(r: KeyRequest, keys: LocalKeys): void {
    this.learned.set(pairKey(r.engine, r.name), { user: r.user, keys });
  }

  private deny(r: KeyRequest, single: boolean): KeyDenial | undefined {
    const { user, now, source } = r;
    if (!user.ready) return 'user-keys-pending';
    if (user.costly && !r.local) return this.costly.take(now, source) ? undefined : 'new-engine-budget';
    if (single || r.expected) return undefined;
    return this.newEngine.take(now, source) ? undefined : 'new-engine-budget';
  }
}
