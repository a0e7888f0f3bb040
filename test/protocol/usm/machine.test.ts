import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { responseTo } from '../../../src/codec/snmp/encode.ts';
import { encodeScopedPdu } from '../../../src/codec/snmp/v3-encode.ts';
import { localize, localizePriv, masterKey } from '../../../src/protocol/usm/keys.ts';
import { type UsmEffect, UsmMachine, type UsmSettings } from '../../../src/protocol/usm/machine.ts';
import { STATS } from '../../../src/protocol/usm/reports.ts';
import { Salts } from '../../../src/protocol/usm/salts.ts';
import { seal } from '../../../src/protocol/usm/seal.ts';
import type { Timeliness } from '../../../src/protocol/usm/timeliness.ts';
import type { UserSpec } from '../../../src/protocol/usm/users.ts';
import { play, scenarios } from '../../scenario/runner.ts';
import { type Credentials, keysOf, ku, NOTIFICATION, read, type Sent, v3 } from './sender.ts';

const FOLDER = fileURLToPath(new URL('../../scenario/usm', import.meta.url));
const OWN = Buffer.from('80001f880411223344', 'hex');
const EPOCH = 1_700_000_000;

const noc: Credentials = {
  name: 'noc',
  auth: 'sha256',
  authPass: 'auth of noc',
  priv: 'aes128',
  privPass: 'priv of noc',
};
const ops: Credentials = { name: 'ops', auth: 'sha1', authPass: 'auth of ops' };
const open: Credentials = { name: 'open' };
const slow: Credentials = {
  name: 'slow',
  auth: 'md5',
  authPass: 'auth of slow',
  priv: 'aes256c',
  privPass: 'priv of slow',
};
const old: Credentials = { name: 'old', auth: 'md5', authPass: 'auth of old', priv: 'des', privPass: 'priv of old' };
const USERS: Record<string, Credentials> = { noc, ops, open, slow, old };

function specOf(c: Credentials, more: Partial<UserSpec> = {}): UserSpec {
  return {
    name: c.name,
    auth: c.auth && { protocol: c.auth, key: { kind: 'master', key: ku(c.auth, c.authPass ?? '') } },
    priv: c.auth && c.priv && { protocol: c.priv, key: { kind: 'master', key: ku(c.auth, c.privPass ?? '') } },
    ...more,
  };
}

function settings(more: Partial<UsmSettings> = {}): UsmSettings {
  return {
    engine: { id: OWN, boots: 3, epoch: EPOCH },
    users: Object.values(USERS).map((c) => specOf(c)),
    engines: new Map(),
    budgets: {
      newEngine: { perSource: 1, total: 4 },
      costly: { perSource: 1, total: 2 },
      report: { perSource: 2, total: 100 },
    },
    cache: 1000,
    ...more,
  };
}

function rig(more: Partial<UsmSettings> = {}) {
  const machine = new UsmMachine(settings(more), new Salts(1, 2, false, Buffer.alloc(5)));
  return {
    machine,
    /** At `ms` after the start, when engineTime is 1000. */
    send: (data: Buffer, ms = 0, source = 'a'): UsmEffect[] => {
      const out: UsmEffect[] = [];
      machine.handle({ ms, wallMs: (EPOCH + 1000) * 1000 + ms }, { kind: 'message', data, source }, out);
      return out;
    },
  };
}

const own = (c: Credentials, more: Partial<Sent> = {}): Buffer =>
  v3(c, { level: levelOf(c), engineId: OWN, boots: 3, time: 1000, pdu: 'inform', ...more });
const engine = (n: number): Buffer => Buffer.from(`80000000${n.toString(16).padStart(8, '0')}`, 'hex');
const trap = (c: Credentials, n: number, more: Partial<Sent> = {}): Buffer =>
  v3(c, { level: levelOf(c), engineId: engine(n), boots: 1, time: 5000, pdu: 'trap', ...more });
const levelOf = (c: Credentials) => (c.priv ? 'authPriv' : c.auth ? 'authNoPriv' : 'noAuthNoPriv');
/** An inform to us around a ScopedPDU of any kind. */
const sealed = (c: Credentials, scopedPdu: Buffer): Buffer =>
  seal({
    ...{ msgId: 1, maxSize: 65_507, level: levelOf(c), reportable: true, engineId: OWN, boots: 3, time: 1000 },
    userName: Buffer.from(c.name),
    keys: keysOf(c, OWN),
    salt: Buffer.alloc(8, 3),
    scopedPdu,
  });
/** In short: what happened. */
const said = (out: UsmEffect[]) =>
  out.map((e) => (e.kind === 'refuse' ? e.code : e.kind === 'accept' ? `accept ${e.pdu.pdu}` : `${e.kind} ${e.what}`));

/** Scenario files speak of senders, not of octets. */
interface ScenarioInput {
  from?: string;
  user: string;
  engine: 'own' | number | string;
  boots?: number;
  time?: number;
  pdu: Sent['pdu'];
  level?: Sent['level'];
  reportable?: boolean;
  flip?: 'digest' | 'data';
}

class Scenario {
  private readonly machine = rig({
    engines: new Map<string, Timeliness>([
      [engine(0xa).toString('latin1'), 'monotonic'],
      [engine(0xb).toString('latin1'), 'off'],
    ]),
  }).machine;

  handle(now: number, i: ScenarioInput, out: object[]): void {
    const c = USERS[i.user] ?? { name: i.user };
    const engineId =
      i.engine === 'own' ? OWN : typeof i.engine === 'number' ? engine(i.engine) : Buffer.from(i.engine, 'hex');
    const s: Sent = {
      level: i.level ?? levelOf(c),
      engineId,
      boots: i.boots ?? 3,
      time: i.time ?? 1000,
      pdu: i.pdu,
      reportable: i.reportable,
    };
    const data = v3(c, s);
    if (i.flip === 'digest') data[data.indexOf(c.name) + c.name.length + 2] ^= 1;
    if (i.flip === 'data') data[data.length - 1] ^= 1;
    const effects: UsmEffect[] = [];
    const at = { ms: now, wallMs: (EPOCH + 1000) * 1000 + now };
    this.machine.handle(at, { kind: 'message', data, source: i.from ?? 'a' }, effects);
    for (const e of effects) {
      if (e.kind === 'accept') out.push({ accept: e.pdu.pdu, user: e.user, level: e.level, tolerated: e.tolerated });
      else if (e.kind === 'refuse') out.push({ refuse: e.code });
      else if (e.kind === 'suppressed') out.push({ suppressed: e.what });
      else {
        const r = read(c, e.data);
        const { pdu, level, boots, time, authentic, engineId } = r;
        const [v] = pdu.varbinds;
        out.push({ send: e.what, pdu: pdu.pdu, level, boots, time, authentic, engineId, oid: v.oid, count: v.value });
      }
    }
  }
}

describe('scenarios', () => {
  it.each(scenarios(FOLDER))('%s', (name) => {
    const { actual, expected } = play<ScenarioInput, object>(join(FOLDER, name), new Scenario());
    expect(actual).toEqual(expected);
  });
});

describe('an inform', () => {
  it.each([noc, ops, open, slow, old])('of $name is answered at its level with our boots and time', (c) => {
    const { machine, send } = rig();
    const [e] = send(own(c, { context: 'vrf-a', msgId: 77, requestId: 5 }));
    expect(e).toMatchObject({ kind: 'accept', user: c.name, level: levelOf(c), local: true });
    if (e.kind !== 'accept') throw new Error('refused');
    expect(e.scoped.contextName.toString()).toBe('vrf-a');
    const scoped = encodeScopedPdu(OWN, Buffer.from('vrf-a'), {
      pdu: 'response',
      requestId: 5,
      varbinds: NOTIFICATION,
    });
    const answer = read(c, machine.respond({ ms: 0, wallMs: (EPOCH + 1007) * 1000 }, e.reply!, scoped));
    expect(answer).toMatchObject({
      msgId: 77,
      level: levelOf(c),
      boots: 3,
      time: 1007,
      user: c.name,
      context: 'vrf-a',
    });
    expect(answer.authentic).toBe(c.auth ? true : undefined);
    expect(answer.pdu).toMatchObject({ pdu: 'response', requestId: 5 });
    // A second answer has another salt.
    if (c.priv) expect(read(c, machine.respond({ ms: 0, wallMs: 0 }, e.reply!, scoped)).salt).not.toBe(answer.salt);
  });

  it.each(['aes128', 'des'] as const)('with another %s key is authentic and yields nothing', (priv) => {
    const { send } = rig({ users: [specOf({ ...noc, priv })] });
    const out = send(own({ ...noc, priv, privPass: 'not the one' }));
    expect(said(out)).toEqual(['decryption-error', 'send decryptionErrors']);
  });

  it('too large to be answered gets tooBig', () => {
    const { machine, send } = rig();
    const [e] = send(own(noc, { maxSize: 484 }));
    if (e.kind !== 'accept') throw new Error('refused');
    const small = Buffer.from('300b0400040' + '0a2050201010201', 'hex');
    const big = Buffer.alloc(600);
    expect(machine.respond({ ms: 0, wallMs: 0 }, e.reply!, big, () => small).length).toBeLessThan(484);
    expect(machine.respond({ ms: 0, wallMs: 0 }, e.reply!, big).length).toBeGreaterThan(484);
  });

  it('is refused while the clock may not be trusted, and traps go on', () => {
    const { machine, send } = rig();
    machine.handle({ ms: 0, wallMs: 0 }, { kind: 'fence', reason: 'the clock went back' }, []);
    expect(said(send(own(noc)))).toEqual(['clock-behind']);
    expect(said(send(own({ name: '' }, { engineId: Buffer.alloc(0), pdu: 'get', level: 'noAuthNoPriv' })))).toEqual([
      'clock-behind',
    ]);
    expect(said(send(trap(noc, 1)))).toEqual(['accept trap']);
    machine.handle({ ms: 0, wallMs: 0 }, { kind: 'fence', reason: undefined }, []);
    expect(said(send(own(noc)))).toEqual(['accept inform']);
  });
});

describe('the level of a user', () => {
  const levels = ['noAuthNoPriv', 'authNoPriv', 'authPriv'] as const;

  it.each([
    // [keys, the least configured, what comes of noAuthNoPriv, authNoPriv, authPriv]
    [noc, undefined, ['level-too-low', 'level-too-low', 'accept']],
    [noc, 'authPriv', ['level-too-low', 'level-too-low', 'accept']],
    [noc, 'authNoPriv', ['level-too-low', 'accept', 'accept']],
    [noc, 'noAuthNoPriv', ['accept', 'accept', 'accept']],
    [ops, undefined, ['level-too-low', 'accept', 'unsupported-level']],
    [ops, 'noAuthNoPriv', ['accept', 'accept', 'unsupported-level']],
    [open, undefined, ['accept', 'unsupported-level', 'unsupported-level']],
  ] as const)('%o, least %s: %j', (c, least, expected) => {
    const { machine, send } = rig({ users: [specOf(c, { level: least })] });
    // Whoever sends has keys for everything.
    const able = { ...noc, ...c };
    const traps = levels.map((level) => said(send(trap(able, 1, { level })))[0].replace(' trap', ''));
    expect(traps).toEqual(expected);
    const informs = levels.map((level) => said(send(own(able, { level }))));
    expect(informs.map((s) => s[0].replace(' inform', ''))).toEqual(expected);
    for (const s of informs) expect(s.slice(1)).toEqual(s[0].startsWith('accept') ? [] : ['send unsupportedSecLevels']);
    expect(machine.stats.unsupportedSecLevels).toBe(2 * expected.filter((e) => e !== 'accept').length);
  });

  it('lower than its keys: an inform is answered at the level it came with, and a wrong digest is no way in', () => {
    const { machine, send } = rig({ users: [specOf(noc, { level: 'noAuthNoPriv' })] });
    for (const level of levels) {
      const [e] = send(own(noc, { level }));
      if (e.kind !== 'accept') throw new Error('refused');
      const scoped = encodeScopedPdu(OWN, Buffer.alloc(0), { pdu: 'response', requestId: 1, varbinds: NOTIFICATION });
      const answer = read(noc, machine.respond({ ms: 0, wallMs: EPOCH * 1000 }, e.reply!, scoped));
      expect(answer).toMatchObject({ level, authentic: level === 'noAuthNoPriv' ? undefined : true });
    }
    expect(said(send(own({ ...noc, authPass: 'not the one' }, { level: 'authNoPriv' })))[0]).toBe('wrong-digest');
  });
});

describe('new engines of a user for any engine', () => {
  it('are bounded by a budget for each source and for all; known ones need none', () => {
    const { machine, send } = rig();
    const first = Array.from({ length: 8 }, (_, i) => said(send(trap(noc, i)))[0]);
    expect(first).toEqual([...Array(5).fill('accept trap'), ...Array(3).fill('new-engine-budget')]);
    expect(said(send(trap(noc, 4, { time: 5001 })))).toEqual(['accept trap']);
    // The others have what is left of 20.
    const rest = Array.from({ length: 30 }, (_, i) => said(send(trap(noc, 100 + i), 0, `s${i}`))[0]);
    expect(rest.filter((c) => c === 'accept trap')).toHaveLength(15);
    expect(machine.known.pairs).toBe(20);
    expect(said(send(trap(noc, 999), 1000))).toEqual(['accept trap']);
  });

  it('that prove nothing are not remembered', () => {
    const { machine, send } = rig();
    const liar = { ...noc, authPass: 'a wrong passphrase' };
    for (let i = 0; i < 5; i++) expect(said(send(trap(liar, i)))).toEqual(['wrong-digest']);
    expect(machine.known).toEqual({ engines: 0, pairs: 0 });
  });

  it('that cost a megabyte have the smallest budget', () => {
    const { send } = rig({ budgets: { ...settings().budgets, costly: { perSource: 0.2, total: 0.4 } } });
    const got = ['a', 'a', 'b', 'c', 'd'].map((source, i) => said(send(trap(slow, i), 0, source))[0]);
    expect(got).toEqual(['accept trap', 'new-engine-budget', 'accept trap', 'new-engine-budget', 'new-engine-budget']);
    expect(said(send(trap(slow, 0, { time: 5001 })))).toEqual(['accept trap']);
  });

  it('that are listed need no budget', () => {
    const listed = new Map(Array.from({ length: 30 }, (_, i) => [engine(i).toString('latin1'), undefined] as const));
    const { send } = rig({ engines: listed });
    for (let i = 0; i < 30; i++) expect(said(send(trap(noc, i)))).toEqual(['accept trap']);
  });
});

describe('the table of users', () => {
  it('knows one name with different keys on different engines, and one for all others', () => {
    const a = { ...noc, authPass: 'first passphrase' };
    const b = { ...noc, authPass: 'second passphrase', priv: 'des' as const };
    const { send } = rig({
      users: [specOf(a, { engineId: engine(1) }), specOf(b, { engineId: engine(2) }), specOf(noc)],
    });
    expect(said(send(trap(a, 1)))).toEqual(['accept trap']);
    expect(said(send(trap(b, 2)))).toEqual(['accept trap']);
    expect(said(send(trap(noc, 3)))).toEqual(['accept trap']);
    expect(said(send(trap(a, 2)))).toEqual(['wrong-digest']);
    expect(said(send(trap(noc, 1)))).toEqual(['wrong-digest']);
  });

  it('takes master keys and localised keys', () => {
    const engineId = engine(9);
    const ku = (pass = '') => masterKey('sha256', pass);
    const localized = (key: Buffer) => ({ kind: 'localized', key }) as const;
    const { send } = rig({
      users: [
        {
          name: 'noc',
          engineId,
          auth: { protocol: 'sha256', key: localized(localize('sha256', ku(noc.authPass), engineId)) },
          priv: { protocol: 'aes128', key: localized(localizePriv('sha256', 'aes128', ku(noc.privPass), engineId)) },
        },
      ],
    });
    expect(said(send(trap(noc, 9)))).toEqual(['accept trap']);
    expect(said(send(trap(noc, 8)))).toEqual(['unknown-user']);
  });

  it('changes while it runs; what did not change keeps its keys', () => {
    const { machine, send } = rig();
    expect(said(send(trap(noc, 1)))).toEqual(['accept trap']);
    const changed = { ...noc, authPass: 'another passphrase' };
    machine.handle(
      { ms: 0, wallMs: 0 },
      { kind: 'configure', settings: settings({ users: [specOf(changed), specOf(ops)] }) },
      [],
    );
    expect(said(send(trap(noc, 1, { time: 5001 }), 1000))).toEqual(['wrong-digest']);
    expect(said(send(trap(changed, 1, { time: 5002 }), 3000))).toEqual(['accept trap']);
    expect(said(send(trap(open, 1), 4000))).toEqual(['unknown-user']);
    machine.handle({ ms: 0, wallMs: 0 }, { kind: 'configure', settings: settings({ users: [specOf(changed)] }) }, []);
    const known = machine.known.pairs;
    expect(said(send(trap(changed, 1, { time: 5003 }), 5000))).toEqual(['accept trap']);
    expect(machine.known.pairs).toBe(known);
  });

  it('refuses users whose keys are still being made, and no others; asks no budget for it and sends no Report', () => {
    const pending = { kind: 'pending' } as const;
    const waiting = specOf(noc, {
      auth: { protocol: 'sha256', key: pending },
      priv: { protocol: 'aes128', key: pending },
    });
    const { machine, send } = rig({ users: [waiting, specOf(ops), specOf(open)] });
    expect(machine.pendingUsers).toBe(1);
    for (let i = 0; i < 30; i++) expect(said(send(trap(noc, i)))).toEqual(['user-keys-pending']);
    expect(said(send(own(noc)))).toEqual(['user-keys-pending']);
    expect(said(send(trap(ops, 1)))).toEqual(['accept trap']);
    machine.handle({ ms: 0, wallMs: 0 }, { kind: 'configure', settings: settings() }, []);
    expect(machine.pendingUsers).toBe(0);
    expect(said(send(trap(noc, 1)))).toEqual(['accept trap']);
  });

  it('uses the privacy key on our engine where it is given, and on other engines makes its own', () => {
    const own2 = (key: Buffer) => ({ kind: 'master', key: ku('md5', slow.privPass!), own: key }) as const;
    const priv = (key: Buffer) => ({ protocol: 'aes256c' as const, key: own2(key) });
    const right = localizePriv('md5', 'aes256c', ku('md5', slow.privPass!), OWN);
    const a = rig({ users: [specOf(slow, { priv: priv(right) })] });
    expect(said(a.send(own(slow)))).toEqual(['accept inform']);
    expect(said(a.send(trap(slow, 1)))).toEqual(['accept trap']);
    // It is really used.
    const b = rig({ users: [specOf(slow, { priv: priv(Buffer.alloc(32)) })] });
    expect(said(b.send(own(slow)))[0]).toBe('decryption-error');
    expect(said(b.send(trap(slow, 1)))).toEqual(['accept trap']);
  });

  it('is empty: nothing is accepted and nobody is answered', () => {
    const { send } = rig({ users: [] });
    expect(said(send(own({ name: '' }, { engineId: Buffer.alloc(0), pdu: 'get', level: 'noAuthNoPriv' })))).toEqual([
      'unknown-user',
    ]);
  });

  it('of 20,000 users finds each', () => {
    const users: UserSpec[] = Array.from({ length: 20_000 }, (_, i) => ({
      name: `u${i}`,
      engineId: i % 2 ? engine(i) : undefined,
      auth: { protocol: 'sha1', key: { kind: 'master', key: Buffer.alloc(20, i & 0xff) } },
    }));
    const { machine, send } = rig({ users });
    expect(machine.userCount).toBe(20_000);
    expect(said(send(trap({ name: 'u19999', auth: 'sha1', authPass: 'not this' }, 19_999)))).toEqual(['wrong-digest']);
    expect(said(send(trap({ name: 'u20000', auth: 'sha1', authPass: 'not this' }, 1)))).toEqual(['unknown-user']);
  });
});

describe('hostile bytes', () => {
  it('never throw, are never accepted unless authentic, and leave the datagram as it was', () => {
    const { send } = rig({
      budgets: {
        newEngine: { perSource: 1e6, total: 1e6 },
        costly: { perSource: 1e6, total: 1e6 },
        report: { perSource: 1e6, total: 1e6 },
      },
    });
    const seeds = [
      own(noc),
      own(ops),
      trap(noc, 1),
      trap(ops, 2),
      own({ name: '' }, { engineId: Buffer.alloc(0), pdu: 'get', level: 'noAuthNoPriv' }),
    ];
    fc.assert(
      fc.property(
        fc.nat({ max: seeds.length - 1 }),
        fc.array(fc.tuple(fc.nat({ max: 400 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        fc.nat({ max: 40 }),
        (seed, edits, cut) => {
          const data = Buffer.from(seeds[seed].subarray(0, seeds[seed].length - (cut > 20 ? cut - 20 : 0)));
          for (const [at, v] of edits) data[at % data.length] = v;
          const before = Buffer.from(data);
          const out = send(data);
          expect(data.equals(before)).toBe(true);
          expect(out.filter((e) => e.kind === 'refuse' || e.kind === 'accept')).toHaveLength(1);
          if (!before.equals(seeds[seed])) expect(out.filter((e) => e.kind === 'accept')).toEqual([]);
        },
      ),
      { numRuns: 3000 },
    );
  });
  it('that are authentic are judged by the decoders, and what is accepted can be answered', () => {
    const { machine, send } = rig();
    const seed = encodeScopedPdu(OWN, Buffer.from('c'), { pdu: 'inform', requestId: 1, varbinds: NOTIFICATION });
    const seen: Record<string, number> = {};
    fc.assert(
      fc.property(
        fc.constantFrom(noc, ops, old),
        fc.array(fc.tuple(fc.nat({ max: seed.length - 1 }), fc.nat({ max: 255 })), { minLength: 0, maxLength: 3 }),
        fc.nat({ max: 30 }),
        (c, edits, cut) => {
          const scopedPdu = Buffer.from(seed.subarray(0, seed.length - (cut > 20 ? cut - 20 : 0)));
          for (const [at, v] of edits) scopedPdu[at % scopedPdu.length] = v;
          const data = sealed(c, scopedPdu);
          const [e] = send(data);
          const what = said([e])[0];
          seen[what] = (seen[what] ?? 0) + 1;
          if (e.kind !== 'accept' || e.reply === undefined) return;
          const response = responseTo(e.bytes.subarray(0, e.scoped.end), e.scoped, e.pdu).subarray(e.scoped.offset);
          expect(read(c, machine.respond({ ms: 0, wallMs: EPOCH * 1000 }, e.reply, response)).pdu.pdu).toBe('response');
        },
      ),
      { numRuns: 4000 },
    );
    expect(seen['accept inform']).toBeGreaterThan(100);
    expect(seen['wrong-digest']).toBeUndefined();
    expect(Object.keys(seen).length).toBeGreaterThan(5);
  });

  it('of a flood with made-up engines: bounded memory, a bounded number of keys, and known engines are heard', () => {
    const { machine, send } = rig();
    expect(said(send(trap(noc, 1)))).toEqual(['accept trap']);
    const spoofed = trap({ ...noc, authPass: 'not the one' }, 2);
    const at = spoofed.indexOf(engine(2));
    const codes: Record<string, number> = {};
    for (let i = 0; i < 20_000; i++) {
      spoofed.writeUInt32BE(i + 1000, at + 4);
      for (const code of said(send(spoofed, i / 100, `spoofed ${i % 7000}`))) codes[code] = (codes[code] ?? 0) + 1;
      if (i % 1000 === 0) expect(said(send(trap(noc, 1, { time: 5001 + i / 1000 }), i / 100))).toEqual(['accept trap']);
    }
    // 20 at once and 4 more in the 200 ms.
    expect(codes['wrong-digest']).toBeLessThanOrEqual(21);
    expect(codes['new-engine-budget']).toBe(20_000 - codes['wrong-digest']);
    expect(machine.known).toEqual({ engines: 1, pairs: 1 });
  });

  it('of any kind', () => {
    const { send } = rig();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (b) => {
        expect(said(send(Buffer.from(b)))).toHaveLength(1);
      }),
      { numRuns: 500 },
    );
  });
});

it('counts by the OIDs of SNMP-USER-BASED-SM-MIB', () => {
  expect(STATS.unknownEngineIDs).toBe('1.3.6.1.6.3.15.1.1.4.0');
});
