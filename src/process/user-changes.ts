/**
 * SNMPv3 users of a changed configuration as the supervisor tells them to workers: only what is other than before. Twenty thousand users are megabytes,
 * and a worker that reads them in one message does not renew its lease meanwhile. Pure.
 */
import type { SnmpTrapConfig } from '../collectors/snmp-trap/config.ts';
import type { Config } from '../config/schema.ts';

type User = SnmpTrapConfig['users'][number];

export interface UserChanges {
  /** New, or other than before. */
  set: User[];
  /** Names as `userKey` makes them. */
  gone: string[];
}

/** One user of one engine, or of any. */
export function userKey(u: Pick<User, 'name' | 'engine_id'>): string {
  return `${u.engine_id ?? ''} ${u.name}`;
}

const usersOf = (c: Config): readonly User[] => c.collectors.snmp_trap?.users ?? [];

/** An unchanged user is the same object in both. */
export function changedUsers(before: Config, after: Config): UserChanges {
  const known = new Set(usersOf(before));
  const names = new Set(usersOf(after).map(userKey));
  return {
    set: usersOf(after).filter((u) => !known.has(u)),
    gone: usersOf(before)
      .map(userKey)
      .filter((k) => !names.has(k)),
  };
}

export function withoutUsers(c: Config): Config {
  return withUsers(c, []);
}

/** `next`, which has no users, with those of `running` as changed. */
export function applyUsers(running: Config, next: Config, changes: UserChanges): Config {
  const users = new Map(usersOf(running).map((u) => [userKey(u), u]));
  for (const key of changes.gone) users.delete(key);
  for (const u of changes.set) users.set(userKey(u), u);
  return withUsers(next, [...users.values()]);
}

function withUsers(c: Config, users: User[]): Config {
  const snmp = c.collectors.snmp_trap;
  return snmp === undefined ? c : { ...c, collectors: { ...c.collectors, snmp_trap: { ...snmp, users } } };
}
