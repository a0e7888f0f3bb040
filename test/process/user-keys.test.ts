/** Keys of SNMPv3 users are made once for the node, in threads, and workers never see a passphrase. */
import { afterEach, describe, expect, it } from 'vitest';
import type { SnmpTrapConfig } from '../../src/collectors/snmp-trap/config.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { UserKeys } from '../../src/process/user-keys.ts';
import { localizePriv, masterKey } from '../../src/protocol/usm/keys.ts';
import { Registry } from '../../src/telemetry/registry.ts';

const OWN = '80001f880411223344';
const OTHER = '80001f880499999999';
const NEW = '80001f880477777777';
const hosts: UserKeys[] = [];
afterEach(() => {
  for (const h of hosts.splice(0)) h.stop();
});

const config = (users: object[], engine = OWN): Config =>
  configSchema.parse({ collectors: { snmp_trap: { users, engine: { id: `0x${engine}` } } } }) as Config;
const user = (name: string, pass = `auth of ${name}`, more: object = {}) => ({
  name,
  auth: { protocol: 'sha256', passphrase: pass },
  priv: { protocol: 'aes128', passphrase: `priv of ${name}` },
  ...more,
});
const many = (n: number) => Array.from({ length: n }, (_, i) => user(`u${i}`));

function open(cores = 2) {
  const registry = new Registry();
  const state = { told: 0, done: () => {} };
  const keys = new UserKeys({
    clock: systemClock,
    log: silentLog,
    registry,
    cores,
    onKeys: () => {
      state.told++;
      if (keys.status().pending === 0) state.done();
    },
  });
  hosts.push(keys);
  const section = (c: Config): SnmpTrapConfig => keys.forWorkers(c).collectors.snmp_trap!;
  const users = (c: Config) => section(c).users;
  const starting = (c: Config) => section(c).starting;
  const ready = () =>
    new Promise<void>((resolve) => {
      state.done = resolve;
      if (keys.status().pending === 0) resolve();
    });
  const gauge = () => registry.snapshot().find((s) => s[0] === 'tidegate_usm_users_pending')?.[2];
  return { keys, state, users, starting, ready, gauge };
}

describe('the keys of SNMPv3 users', () => {
  it('at a start with a few are there before workers are; what workers get has no passphrase', async () => {
    const { keys, users, starting } = open();
    const c = config([user('noc'), { name: 'open' }, user('ops', undefined, { priv: undefined })]);
    await keys.first(c);
    await expect.poll(() => keys.status().pending, { timeout: 30_000 }).toBe(0);
    expect(keys.status()).toEqual({ users: 3, pending: 0, without: 0, starting: false });
    expect(users(c)[0]).toMatchObject({
      name: 'noc',
      auth: { protocol: 'sha256', master_key: masterKey('sha256', 'auth of noc').toString('hex') },
      priv: { protocol: 'aes128', master_key: masterKey('sha256', 'priv of noc').toString('hex') },
    });
    expect(JSON.stringify(keys.forWorkers(c))).not.toContain(' of noc');
    expect(starting(c)).toBeUndefined();
    expect(keys.forWorkers(c)).toBe(keys.forWorkers(c));
    // What was loaded is as it was: it is compared with the next one.
    expect(c.collectors.snmp_trap!.users[0].auth!.passphrase).toBe('auth of noc');
  });

  it('with many are made beside the start, which is not ready before all are: workers are told so', async () => {
    const { keys, state, users, starting, ready, gauge } = open(4);
    const c = config(many(700));
    keys.set(c);
    expect(keys.status()).toEqual({ users: 700, pending: 700, without: 700, starting: true });
    expect(gauge()).toBe(700);
    expect(starting(c)).toBe(true);
    expect(users(c)[699]).toEqual({ name: 'u699', auth: { protocol: 'sha256' }, priv: { protocol: 'aes128' } });
    await ready();
    expect(keys.status()).toEqual({ users: 700, pending: 0, without: 0, starting: false });
    expect(gauge()).toBe(0);
    expect(new Set(users(c).map((u) => u.auth!.master_key)).size).toBe(700);
    expect(users(c)[699].auth!.master_key).toBe(masterKey('sha256', 'auth of u699').toString('hex'));
    expect(starting(c)).toBeUndefined();
    // Not with each of 1,400 keys.
    expect(state.told).toBeGreaterThan(0);
    expect(state.told).toBeLessThanOrEqual(4);
  }, 60_000);

  it('after a change: old ones stay until the new are made, a new user waits, one that was removed is gone; the node stays ready', async () => {
    const { keys, users, starting, ready } = open();
    keys.set(config([user('a'), user('b'), user('gone')]));
    await ready();
    const old = masterKey('sha256', 'auth of a').toString('hex');
    const next = config([user('a', 'another passphrase'), user('b'), user('c')]);
    keys.set(next);
    expect(keys.status()).toEqual({ users: 3, pending: 2, without: 1, starting: false });
    expect(users(next).map((u) => [u.name, u.auth!.master_key?.length])).toEqual([
      ['a', 64],
      ['b', 64],
      ['c', undefined],
    ]);
    expect(users(next)[0].auth!.master_key).toBe(old);
    expect(starting(next)).toBeUndefined();
    await ready();
    expect(users(next)[0].auth!.master_key).toBe(masterKey('sha256', 'another passphrase').toString('hex'));
    expect(users(next)[2].auth!.master_key).toBe(masterKey('sha256', 'auth of c').toString('hex'));
  });

  it('that did not change are the same to the workers: only the others are told again', async () => {
    const { keys, users, ready } = open();
    const before = config([user('a'), user('b'), { name: 'open' }]);
    keys.set(before);
    await ready();
    const first = users(before);
    const after = config([user('a'), user('b', 'another passphrase'), { name: 'open' }, user('c')]);
    keys.set(after);
    await ready();
    const then = users(after);
    expect(then.map((u) => first.includes(u))).toEqual([true, false, true, false]);
  });

  it('are waited for by who changes something, and then told once', async () => {
    const { keys, state, users } = open();
    const c = config([user('a'), user('b')]);
    keys.set(c);
    await keys.settled();
    await expect.poll(() => keys.status().pending, { timeout: 30_000 }).toBe(0);
    expect(state.told).toBeLessThanOrEqual(1);
    expect(users(c).every((u) => u.auth!.master_key !== undefined)).toBe(true);
    // Nothing to wait for.
    await keys.settled();
  });

  it('of a change during another: only the last counts', async () => {
    const { keys, users, ready } = open();
    keys.set(config(many(100)));
    const last = config([user('a'), user('u3')]);
    keys.set(config(many(200)));
    keys.set(last);
    await ready();
    expect(keys.status()).toMatchObject({ users: 2, pending: 0 });
    expect(users(last).map((u) => u.auth!.master_key)).toEqual(
      ['auth of a', 'auth of u3'].map((p) => masterKey('sha256', p).toString('hex')),
    );
  });

  it('where Reeder’s extension costs a megabyte: the key on our engine, or on the user’s one, is made, too', async () => {
    const { keys, users, ready } = open();
    const auth = { protocol: 'md5', passphrase: 'auth of slow' };
    const priv = { protocol: 'aes256c', passphrase: 'priv of slow' };
    const ku = masterKey('md5', 'priv of slow');
    const list = [
      { name: 'slow', auth, priv },
      { name: 'one', engine_id: `0x${OTHER}`, auth, priv },
      { name: 'ku', auth, priv: { protocol: 'aes256c', master_key: ku.toString('hex') } },
    ];
    const on = (engine: string) => localizePriv('md5', 'aes256c', ku, Buffer.from(engine, 'hex')).toString('hex');
    const c = config(list);
    keys.set(c);
    await ready();
    const master = { protocol: 'aes256c', master_key: ku.toString('hex') };
    expect(users(c).map((u) => u.priv)).toEqual([
      { ...master, localized_key: on(OWN) },
      { protocol: 'aes256c', localized_key: on(OTHER) },
      { ...master, localized_key: on(OWN) },
    ]);
    // Another engine id: the old key on the old engine is not used on the new one.
    const moved = config(list, NEW);
    keys.set(moved);
    expect(users(moved)[0].priv).toEqual(master);
    await ready();
    expect(users(moved)[0].priv).toEqual({ ...master, localized_key: on(NEW) });
  });

  it('a configuration without the collector, or without users, waits for nothing', async () => {
    const { keys } = open();
    const none = configSchema.parse({ collectors: { bmp: {} } }) as Config;
    await keys.first(none);
    expect(keys.forWorkers(none)).toBe(none);
    expect(keys.status()).toEqual({ users: 0, pending: 0, without: 0, starting: false });
  });
});
