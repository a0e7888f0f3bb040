/** The relay over logs in memory, with receivers that are this test. */
import { Buffer } from 'node:buffer';
import { beforeEach, describe, expect, it } from 'vitest';
import { decodeEnvelope, decodePdu } from '../../../src/codec/snmp/decode.ts';
import { responseTo } from '../../../src/codec/snmp/encode.ts';
import type { Pdu, TrapV1Pdu } from '../../../src/codec/snmp/message.ts';
import { SNMP_TRAP_COMMUNITY } from '../../../src/codec/snmp/rfc3584.ts';
import { silentLog } from '../../../src/core/log.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import { decodeRecord, encodeRecord, recordBound } from '../../../src/event/record.ts';
import { relayConfig } from '../../../src/export/relay/config.ts';
import { RelayExporter } from '../../../src/export/relay/exporter.ts';
import { markOf } from '../../../src/export/relay/loop.ts';
import { relayLowWater } from '../../../src/export/relay/state.ts';
import type { DatagramSender } from '../../../src/net/types.ts';
import { Salts } from '../../../src/protocol/usm/salts.ts';
import { dataOf, recordOf, SAMPLES } from '../../event/projections/samples.ts';
import { fastClock } from '../fake-kafka.ts';
import { BOOT, type MemoryShard, memoryShard } from '../memory-log.ts';

class Receiver implements DatagramSender {
  readonly got: Buffer[] = [];
  onMessage: (data: Buffer) => void = () => {};
  onError: (error: string) => void = () => {};
  answers = false;
  /** ICMP: nobody listens. What is sent does not arrive, and `silent` of them without a word, as when the kernel limits its ICMP. */
  gone = false;
  silent = 0;
  send(data: Buffer): void {
    if (this.gone) {
      if (this.silent > 0) this.silent--;
      else setImmediate(() => this.onError('recvmsg ECONNREFUSED'));
      return;
    }
    this.got.push(data);
    if (this.answers) setImmediate(() => this.onMessage(this.response(data)));
  }
  close(): void {}

  private response(data: Buffer): Buffer {
    const e = decodeEnvelope(data);
    if (isDecodeError(e)) throw e;
    return responseTo(data, e, decodePdu(data, e) as Pdu);
  }
}

let receivers: Map<string, Receiver>;
beforeEach(() => {
  receivers = new Map();
});

function relay(config: object): RelayExporter {
  return new RelayExporter({
    name: 'nms',
    config: relayConfig.parse({ targets: ['192.0.2.9:162'], community: 'legacy', ...config }),
    site: 'dc1',
    node: 'edge-1',
    worker: 0,
    clock: fastClock(50),
    log: silentLog,
    salts: new Salts(0, 0, true, Buffer.alloc(5)),
    peers: { has: (address) => ['203.0.113.5', '127.0.0.1', '192.0.2.9', '192.0.2.10'].includes(address) },
    open: (address, port) => {
      const r = new Receiver();
      receivers.set(`${address}:${port}`, r);
      return r;
    },
  });
}

const first = (): Receiver => receivers.values().next().value!;

/** Puts a notification into the log, with its datagram where `raw`. */
function put(shard: MemoryShard, data: Record<string, unknown>, key: string, raw?: Buffer): void {
  const log = shard.logs.alarm;
  log.append('snmp.trap.v1', key, `id-${log.records.length}`, JSON.stringify(data));
  if (!raw) return;
  const json = JSON.stringify(data);
  const last = log.records.at(-1)!;
  const out = Buffer.alloc(recordBound(key, 'id', json, raw));
  last.payload = out.subarray(
    0,
    encodeRecord(out, 0, 'snmp.trap.v1', 0, key, key, `id-${log.records.length}`, json, raw),
  );
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(condition()).toBe(true);
}

function pduOf(b: Buffer): { version: string; community: string; pdu: Pdu | TrapV1Pdu } {
  const e = decodeEnvelope(b);
  if (isDecodeError(e)) throw e;
  const pdu = decodePdu(b, e);
  if (isDecodeError(pdu)) throw pdu;
  return { version: e.version, community: e.community.toString(), pdu };
}

/** A shard into which events come after the relay was opened. */
function opened(exporter: RelayExporter, state?: unknown) {
  const shard = memoryShard(state);
  const begin = shard.logs.alarm.end;
  shard.begin = () => begin;
  const work = exporter.open(shard);
  const durable = (): void => work.durable('alarm', shard.logs.alarm.end, shard.logs.alarm.records.length);
  return { shard, work, durable };
}

describe('relay', () => {
  it('raw: the octets that came, and nothing where there are none', async () => {
    const x = relay({ format: 'raw', community: undefined });
    const { shard, work, durable } = opened(x);
    const { packet } = SAMPLES['every-type'];
    put(shard, dataOf(SAMPLES['every-type']), 'r1', packet);
    put(shard, dataOf(SAMPLES['link-down']), 'r1');
    durable();
    await until(() => work.drained());
    expect(first().got).toEqual([packet]);
    expect(x.progress().relayed).toEqual({ '192.0.2.9:162': { sent: 1, 'no-raw': 1 } });
  });

  it('v2c: every value as it came, the RFC 3584 varbinds, our mark, and the community of the receiver', async () => {
    const x = relay({});
    const { shard, work, durable } = opened(x);
    put(shard, dataOf(SAMPLES['every-type']), 'r1');
    put(shard, dataOf(SAMPLES['v1-enterprise']), 'r1');
    durable();
    await until(() => work.drained());
    const [a, b] = first().got.map(pduOf);
    expect([a.version, a.community, a.pdu.pdu]).toEqual(['v2c', 'legacy', 'trap']);
    const sent = pduOf(SAMPLES['every-type'].packet).pdu.varbinds.map(({ oid, type, value }) => ({ oid, type, value }));
    const got = a.pdu.varbinds.map(({ oid, type, value }) => ({ oid, type, value }));
    const mark = markOf('dc1', 'edge-1');
    expect(got).toEqual([
      ...sent,
      { oid: '1.3.6.1.6.3.18.1.3.0', type: 'ip-address', value: '192.0.2.1' },
      { oid: '1.3.6.1.6.3.18.1.3.1', type: 'ip-address', value: mark },
    ]);
    expect(b.pdu.varbinds.slice(-3).map((v) => [v.oid, v.value])).toEqual([
      ['1.3.6.1.6.3.18.1.3.0', '10.9.8.7'],
      ['1.3.6.1.6.3.1.1.4.3.0', '1.3.6.1.4.1.9999'],
      ['1.3.6.1.6.3.18.1.3.1', mark],
    ]);
    expect(b.pdu.varbinds.some((v) => v.oid === SNMP_TRAP_COMMUNITY)).toBe(false);
  });

  it('v1: taken apart as RFC 3584 section 3.2 says; Counter64 left out and counted', async () => {
    const x = relay({ format: 'v1' });
    const { shard, work, durable } = opened(x);
    for (const name of ['every-type', 'link-down', 'v1-enterprise', 'v1-generic'])
      put(shard, dataOf(SAMPLES[name]), 'r1');
    durable();
    await until(() => work.drained());
    const pdus = first().got.map((b) => pduOf(b).pdu as TrapV1Pdu);
    expect(pdus.map((p) => [p.enterprise, p.agentAddress, p.genericTrap, p.specificTrap, p.timestamp])).toEqual([
      ['1.3.6.1.4.1.9999', '192.0.2.1', 6, 1, 123_456],
      ['1.3.6.1.4.1.9', '192.0.2.1', 2, 0, 123_456],
      ['1.3.6.1.4.1.9999', '10.9.8.7', 6, 42, 5555],
      ['1.3.6.1.4.1.9999', '10.9.8.7', 0, 0, 5555],
    ]);
    expect(pdus[0].varbinds.some((v) => v.type === 'counter64')).toBe(false);
    expect(x.progress().relayed!['192.0.2.9:162']).toMatchObject({ sent: 4, counter64: 1 });
  });

  it('what has our mark has come round, and what has many of others goes no further', async () => {
    const x = relay({});
    const { shard, work, durable } = opened(x);
    const data = dataOf(SAMPLES['link-down']) as { varbinds: object[] };
    const hop = (i: number, value: string) => ({ oid: `1.3.6.1.6.3.18.1.3.${i}`, type: 'ip-address', value });
    put(shard, { ...data, varbinds: [...data.varbinds, hop(1, markOf('dc1', 'edge-2'))] }, 'r1');
    put(shard, { ...data, varbinds: [...data.varbinds, hop(1, markOf('dc1', 'edge-1'))] }, 'r1');
    put(
      shard,
      { ...data, varbinds: [...data.varbinds, ...[1, 2, 3, 4, 5, 6, 7, 8].map((i) => hop(i, `240.0.0.${i}`))] },
      'r1',
    );
    durable();
    await until(() => work.drained());
    expect(x.progress().relayed!['192.0.2.9:162']).toEqual({ sent: 1, looped: 2 });
    const [only] = first().got;
    expect(pduOf(only).pdu.varbinds.at(-1)).toMatchObject({
      oid: '1.3.6.1.6.3.18.1.3.2',
      value: markOf('dc1', 'edge-1'),
    });
  });

  it('raw octets that come back from a peer are not sent again; repetitions of an agent, and the same of other devices, are', async () => {
    const x = relay({ format: 'raw', community: undefined });
    const { shard, work, durable } = opened(x);
    const s = SAMPLES['link-down'];
    put(shard, dataOf(s, '198.51.100.1'), 'r1', s.packet);
    put(shard, dataOf(s, '198.51.100.1'), 'r1', s.packet);
    put(shard, dataOf(s, '203.0.113.5'), 'r2', s.packet);
    put(shard, dataOf(SAMPLES.v3, '192.0.2.9'), 'nms', SAMPLES.v3.packet);
    // A power cut: twenty start at once, and their agents all begin with the same request-id.
    for (let i = 10; i < 30; i++) put(shard, dataOf(s, `198.51.100.${i}`), `r${i}`, s.packet);
    durable();
    await until(() => work.drained());
    expect(x.progress().relayed!['192.0.2.9:162']).toEqual({ sent: 22, looped: 2 });
  });

  it('informs: holds the spool until they are answered, each receiver for itself, and goes on from its cursor', async () => {
    const x = relay({ as: 'inform', targets: ['192.0.2.9:162', '192.0.2.10:162'], timeout: '200ms' });
    const { shard, work, durable } = opened(x);
    const [a, b] = [...receivers.values()];
    a.answers = true;
    for (let i = 0; i < 10; i++) put(shard, dataOf(SAMPLES['link-down']), `r${i % 3}`);
    durable();
    await until(() => x.progress().relayed!['192.0.2.9:162'].delivered === 10);
    expect(work.drained()).toBe(false);
    expect(work.lowWater('alarm')).toEqual(shard.logs.alarm.records[0].position);
    expect(work.lowWater('metrics')).toEqual(shard.logs.metrics.end);
    await until(() => !x.progress().up);
    expect(x.progress().problems[0].problem).toContain('192.0.2.10:162 answers no inform');
    const state = JSON.parse(JSON.stringify(work.state()));
    expect(relayLowWater(state)).toEqual({ alarm: shard.logs.alarm.records[0].position });
    await x.close();

    // The next process: only the receiver that was away gets them.
    receivers = new Map();
    const y = relay({ as: 'inform', targets: ['192.0.2.9:162', '192.0.2.10:162'], timeout: '600s' });
    const again = { ...shard, state, begin: () => shard.logs.alarm.end };
    const next = y.open(again);
    const [c, d] = [...receivers.values()];
    c.answers = true;
    d.answers = true;
    next.durable('alarm', shard.logs.alarm.end, 10);
    await until(() => next.drained());
    // On a busy machine an answer is late, and an inform repeated: ids are what counts.
    expect(c.got).toHaveLength(0);
    expect(b.got.length).toBeGreaterThan(3);
    const ids = new Set(d.got.map((p) => (pduOf(p).pdu as Pdu).requestId));
    expect(ids.size).toBe(10);
    expect(next.lowWater('alarm')).toEqual(shard.logs.alarm.end);
    await y.close();
  });

  it.each([
    ['raw', { format: 'raw', community: undefined }],
    ['v1', { format: 'v1' }],
    ['v2c', {}],
  ])(
    'traps, %s: a receiver that is away has everything when it is back, and holds the spool meanwhile',
    async (_, how) => {
      const x = relay({ ...how, targets: ['192.0.2.9:162', '192.0.2.10:162'] });
      const { shard, work, durable } = opened(x);
      const [a, b] = [...receivers.values()];
      const [nameA, nameB] = [...receivers.keys()];
      const s = SAMPLES['link-down'];
      let n = 0;
      const more = (count: number): void => {
        for (let i = 0; i < count; i++) {
          const packet = Buffer.from(s.packet);
          packet.writeUInt16BE(++n, packet.length - 2);
          const data = { ...dataOf(s), uptime_ticks: n };
          put(shard, data, `r${n % 3}`, packet);
          // Equal octets of one from elsewhere: never sent, and counted once.
          if (n % 5 === 0) put(shard, { ...dataOf(s, '192.0.2.9'), uptime_ticks: n }, 'peer', packet);
        }
        durable();
      };
      const numbers = (r: Receiver): number[] =>
        r.got.map((p) => {
          if ('format' in how && how.format === 'raw') return p.readUInt16BE(p.length - 2);
          const { pdu } = pduOf(p);
          return pdu.pdu === 'trap-v1' ? pdu.timestamp : (pdu.varbinds[0].value as number);
        });
      const all = (): number[] => Array.from({ length: n }, (_, i) => i + 1);
      const isRaw = 'format' in how && how.format === 'raw';
      /** Without what came from elsewhere, which other formats than raw know by its marks alone. */
      const once = (r: Receiver): number[] => [...new Set(numbers(r))];
      more(20);
      await until(() => work.drained());
      b.gone = true;
      b.silent = 10;
      more(40);
      await until(() => once(a).length === n && !x.progress().up);
      expect(work.drained()).toBe(false);
      expect(x.progress()).toMatchObject({
        away: { [nameA]: false, [nameB]: true },
        problems: [{ problem: '192.0.2.10:162 is away (recvmsg ECONNREFUSED)' }],
      });
      expect(once(b)).toEqual(all().slice(0, 20));
      more(600);
      await until(() => once(a).length === n);
      const low = work.lowWater('alarm');
      expect(shard.logs.alarm.records.filter((r) => r.position.offset < low.offset)).toHaveLength(24);
      b.gone = false;
      await until(() => work.drained());
      expect([once(a), once(b)]).toEqual([all(), all()]);
      expect(x.progress()).toMatchObject({ up: true, problems: [], lag: 0 });
      const looped = isRaw ? { looped: n / 5 } : {};
      const records = isRaw ? n : shard.logs.alarm.records.length;
      expect(x.progress().relayed).toMatchObject({
        [nameA]: { sent: records, ...looped },
        [nameB]: { sent: records, ...looped },
      });
      expect(x.progress().relayed![nameB].repeated).toBeGreaterThan(10);
      expect(work.lowWater('alarm')).toEqual(shard.logs.alarm.end);
      await x.close();
    },
  );

  it('traps: what was in doubt when the process ended is sent again by the next', async () => {
    const x = relay({});
    const { shard, work, durable } = opened(x);
    put(shard, dataOf(SAMPLES['link-down']), 'r1');
    durable();
    first().gone = true;
    await until(() => !x.progress().up);
    const state = JSON.parse(JSON.stringify(work.state()));
    expect(relayLowWater(state)).toEqual({ alarm: shard.logs.alarm.records[0].position });
    await x.close();
    receivers = new Map();
    const y = relay({});
    const next = y.open({ ...shard, state, begin: () => shard.logs.alarm.end });
    next.durable('alarm', shard.logs.alarm.end, 1);
    await until(() => next.drained());
    expect(first().got).toHaveLength(1);
    await y.close();
  });

  it('what is too large for a datagram is counted and not tried again', async () => {
    const x = relay({});
    const { shard, work, durable } = opened(x);
    const data = dataOf(SAMPLES['link-down']) as { varbinds: object[] };
    const large = { oid: '1.3.6.1.4.1.9999.1', type: 'octet-string', value: 'x'.repeat(65_500) };
    put(shard, { ...data, varbinds: [large] }, 'r1');
    put(shard, data, 'r1');
    durable();
    await until(() => work.drained());
    expect(x.progress().relayed!['192.0.2.9:162']).toEqual({ sent: 1, 'not-encodable': 1 });
    await x.close();
  });

  it('a repeated inform has the same octets, so that the receiver knows it', async () => {
    const x = relay({ as: 'inform', timeout: '100ms' });
    const { shard, durable } = opened(x);
    put(shard, dataOf(SAMPLES['link-down']), 'r1');
    durable();
    await until(() => first().got.length >= 3);
    expect(new Set(first().got.map((b) => b.toString('hex'))).size).toBe(1);
    await x.close();
  });

  it('a receiver that is new gets what comes from then on, and nothing of older shards', async () => {
    const x = relay({});
    const shard = memoryShard();
    put(shard, dataOf(SAMPLES['link-down']), 'r1');
    const at = shard.logs.alarm.end;
    const work = x.open({ ...shard, begin: () => at });
    const old = x.open({ ...shard, begin: () => 'all', end: () => 'all' });
    put(shard, dataOf(SAMPLES['v1-generic']), 'r1');
    work.durable('alarm', shard.logs.alarm.end, 2);
    await until(() => work.drained() && old.drained());
    expect(first().got.length).toBe(1);
  });

  it('a community or datagram is in no event: only the raw part of the record has it', () => {
    const { packet } = SAMPLES['link-down'];
    const json = JSON.stringify(dataOf(SAMPLES['link-down']));
    const out = Buffer.alloc(recordBound('k', 'i', json, packet));
    const n = encodeRecord(out, 0, 'snmp.trap.v1', 0, 'k', 'k', 'i', json, packet);
    const r = decodeRecord(out.subarray(0, n))!;
    expect(r.raw).toEqual(packet);
    expect(r.value.toString()).toBe(json);
    expect(r.value.includes('public')).toBe(false);
    // What does not know of it sees a type that does not exist.
    expect(out[0]).toBeGreaterThan(127);
    expect(decodeRecord(out.subarray(0, 12 + packet.length / 2))).toBeUndefined();
    expect(recordOf({}).raw).toBeUndefined();
    expect(BOOT).toBeGreaterThan(0);
  });

  it.each([
    [{ format: 'raw', as: 'inform' }, 'as'],
    [{ format: 'v1', as: 'inform' }, 'as'],
    [{ community: undefined }, 'community'],
    [{ format: 'v3' }, 'user'],
    [{ targets: [] }, 'targets'],
    [{ targets: ['192.0.2.1:0'] }, 'targets'],
    [{ format: 'v3', user: { name: 'u', priv: { protocol: 'aes128', passphrase: 'password1' } } }, 'user'],
  ])('refuses the configuration %j', (c, path) => {
    const r = relayConfig.safeParse({ targets: ['192.0.2.9:162'], community: 'x', ...c });
    expect(r.success).toBe(false);
    expect(r.error!.issues.map((i) => i.path[0])).toContain(path);
  });
});
