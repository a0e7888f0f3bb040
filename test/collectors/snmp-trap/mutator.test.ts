import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { SnmpTrapCollector } from '../../../src/collectors/snmp-trap/collector.ts';
import { snmpTrapConfig } from '../../../src/collectors/snmp-trap/config.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import { silentLog } from '../../../src/core/log.ts';
import { rfc3339 } from '../../../src/core/time.ts';
import { DeviceTable } from '../../../src/inventory/inventory.ts';
import { MemoryUdpSocket } from '../../../src/net/memory.ts';
import type { LocalKeys } from '../../../src/protocol/usm/keys.ts';
import { seal } from '../../../src/protocol/usm/seal.ts';
import { REFUSAL_CODES } from '../../../src/telemetry/codes.ts';
import { Refusals } from '../../../src/telemetry/refusals.ts';
import { Registry } from '../../../src/telemetry/registry.ts';
import { type Credentials, keysOf, type Sent, scopedPduOf, v3 } from '../../protocol/usm/sender.ts';
import { mutate, random } from './mutator.ts';

const COUNT = process.env.TIDEGATE_NIGHTLY ? 10_000_000 : 200_000;

const OWN = '80001f880411223344';
const SENDER = Buffer.from('800000090300aabbccddee', 'hex');
const EPOCH = 1_699_990_000;
const noc: Credentials = {
  name: 'noc',
  auth: 'sha256',
  authPass: 'auth of noc',
  priv: 'aes128',
  privPass: 'priv of noc',
};
const CONFIG = {
  communities: [{ name: 'public' }],
  users: [
    {
      name: 'noc',
      level: 'authNoPriv',
      auth: { protocol: 'sha256', passphrase: 'auth of noc' },
      priv: { protocol: 'aes128', passphrase: 'priv of noc' },
    },
    { name: 'open' },
  ],
  engine: { id: `0x${OWN}`, boots: 4, epoch: rfc3339(EPOCH, 0) },
};
const OURS = Buffer.from(OWN, 'hex');
const open: Credentials = { name: 'open' };
/** Good v3 messages as of `second` after the start: the time of traps goes on as that of informs does. */
const v3Seeds = (second: number): [Credentials, Sent][] => {
  const theirs = { engineId: SENDER, boots: 9, time: 5 + second, pdu: 'trap' } as const;
  const ours = { engineId: OURS, boots: 4, time: 10_000 + second, pdu: 'inform' } as const;
  return [
    [noc, { level: 'authPriv', ...theirs }],
    [noc, { level: 'authNoPriv', ...theirs }],
    [noc, { level: 'authPriv', ...ours }],
    [noc, { level: 'authNoPriv', ...ours }],
    [open, { level: 'noAuthNoPriv', ...theirs }],
    [open, { level: 'noAuthNoPriv', ...ours }],
  ];
};
/** The sender's keys, made once. */
const KEYS = new Map<Buffer, LocalKeys>([SENDER, OURS].map((engine) => [engine, keysOf(noc, engine)!]));

/** Broken within: what only an authenticated sender can say. */
function brokenInside([c, s]: [Credentials, Sent], next: (below: number) => number): Buffer {
  return seal({
    ...{ msgId: 1 + next(1000), maxSize: 65_507, level: s.level, reportable: next(2) === 0 },
    ...{ engineId: s.engineId, boots: s.boots, time: s.time, userName: Buffer.from(c.name) },
    keys: c === noc ? KEYS.get(s.engineId) : undefined,
    salt: Buffer.alloc(8, next(256)),
    scopedPdu: mutate(scopedPduOf({ ...s, requestId: next(100), context: 'vrf-a' }), next).subarray(0, 60_000),
  });
}

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const heap = (): number => {
  gc();
  return process.memoryUsage().heapUsed;
};

const { vectors } = JSON.parse(readFileSync(new URL('../../codec/snmp/vectors.json', import.meta.url), 'utf8')) as {
  vectors: { hex: string }[];
};

it(`of ${COUNT} broken datagrams each is accepted, a retry, or refused with a code: exact to one, and nothing is thrown`, {
  timeout: 3_600_000,
}, () => {
  const clock = new ManualClock();
  const metrics = new Registry();
  const socket = new MemoryUdpSocket('192.0.2.10', 162);
  let accepted = 0;
  const collector = new SnmpTrapCollector(
    snmpTrapConfig.parse(CONFIG),
    [{ spec: { network: 'mgmt', address: '192.0.2.10', port: 162 }, socket }],
    {
      clock,
      log: silentLog,
      metrics,
      refusals: new Refusals(metrics, clock),
      inventory: new DeviceTable(),
      worker: 0,
      workers: 1,
      pipeline: {
        emit: (draft, receipt) => {
          if (draft.type === 'snmp.trap.v1') accepted++;
          receipt?.spooled?.();
          return true;
        },
        batchDone: () => true,
        accepts: () => true,
        paused: false,
        onResume() {},
        hasDurableExporter: false,
      },
    },
  );
  collector.start();
  const next = random(20_261_124);
  const sources = ['198.51.100.1', '198.51.100.2', '2001:db8::1'];
  const sum = (name: string): number => metrics.snapshot().reduce((n, s) => (s[0] === name ? n + s[2] : n), 0);
  const plain = vectors.map((v) => Buffer.from(v.hex, 'hex'));
  let good = v3Seeds(0);
  let seeds: Buffer[] = [];
  let memory = 0;
  let inside = 0;
  for (let i = 1; i <= COUNT; i++) {
    if (i % 1000 === 1) {
      good = v3Seeds(Math.floor(clock.nowMs() / 1000));
      seeds = [...plain, ...good.map(([c, sent]) => v3(c, sent))];
    }
    let data: Buffer;
    if (i % 4 === 0) {
      inside++;
      data = brokenInside(good[next(good.length)], next);
    } else data = mutate(seeds[next(seeds.length)], next);
    socket.inject({ data, source: sources[next(3)], sourcePort: 40_000, sec: 1_700_000_000, nsec: 5 });
    if (i % 1000 !== 0) continue;
    // A minute is what an answered inform is remembered for: by the first reading it is over.
    clock.advance(COUNT > 1_000_000 ? 200 : 2000);
    socket.sent.length = 0;
    if (i === COUNT / 4) memory = heap();
    const [refused, repeated] = [sum('tidegate_refused_total'), sum('tidegate_repeated_total')];
    if (accepted + refused + repeated !== i) expect({ accepted, refused, repeated }).toEqual({ sum: i });
  }
  expect(inside).toBe(COUNT / 4);
  const codes = metrics.snapshot().flatMap((s) => (s[0] === 'tidegate_refused_total' && s[2] > 0 ? [s] : []));
  const named = codes.map((s) => /code="([^"]*)"/.exec(s[1])![1]);
  for (const code of named) expect(Object.keys(REFUSAL_CODES)).toContain(code);
  expect(named).toEqual(
    expect.arrayContaining([
      'truncated',
      'trailing',
      'length',
      'tag',
      'version',
      'unknown-community',
      'pdu-type',
      'wrong-digest',
      'decryption-error',
    ]),
  );
  expect(accepted).toBeGreaterThan(COUNT / 100);
  const more = heap() - memory;
  if (process.env.TIDEGATE_NIGHTLY) {
    const refused = sum('tidegate_refused_total');
    console.log(
      `${COUNT} datagrams: accepted ${accepted}, retries ${sum('tidegate_repeated_total')}, refused ${refused} (${codes.map((s, i) => `${named[i]} ${s[2]}`).join(', ')}); heap ${(more / 2 ** 20).toFixed(1)} MiB more than after a quarter`,
    );
  }
  expect(more).toBeLessThan(16 * 1024 * 1024);
});
