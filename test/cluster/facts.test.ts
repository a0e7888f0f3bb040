/** What members say of their VIPs: the bytes, what is refused, and what each knows of the others in the end. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFacts, encodeFacts, isFacts, openFacts, type VipFact } from '../../src/cluster/facts.ts';
import { decodeHeartbeat, encodeHeartbeat, MAX_BYTES } from '../../src/cluster/message.ts';
import { isDecodeError } from '../../src/core/result.ts';
import { SECRET, World } from './world.ts';

const BOOT = 1_700_000_000_000_001;
const FACTS: VipFact[] = [
  { address: '192.0.2.10', state: 'announced', seconds: 3 },
  { address: '2001:db8::10', state: 'degraded' },
];
const VECTOR = [
  ...['54475646', '01', '00', '00060a24181e4001', '0000000000000007', '0002'],
  ...['04', 'c000020a', '02', '00000003'],
  ...['06', '20010db8000000000000000000000010', '01', 'ffffffff'],
].join('');
const hmac = (hex: string) => createHmac('sha256', SECRET).update(Buffer.from(hex, 'hex')).digest('hex');

describe('VIP facts', () => {
  it('are these bytes', () => {
    const [bytes, ...more] = encodeFacts(BOOT, () => 7, FACTS, SECRET);
    expect(more).toEqual([]);
    expect(bytes.toString('hex')).toBe(VECTOR + hmac(VECTOR));
    expect(isFacts(bytes)).toBe(true);
    expect(openFacts(bytes, [SECRET])).toEqual({ boot: BOOT, sequence: 7, vips: FACTS });
    expect(openFacts(bytes, ['another secret of the tests'])).toMatchObject({ code: 'auth' });
    const newer = `5447564602${'00'.repeat(40)}`;
    expect(openFacts(Buffer.from(newer + hmac(newer), 'hex'), [SECRET])).toMatchObject({ code: 'newer-version' });
  });

  it('of many addresses are several datagrams, none larger than an Ethernet carries, none twice', () => {
    const vips = Array.from(
      { length: 1000 },
      (_, i): VipFact => ({
        ...{ address: `2001:db8::${(i + 1).toString(16)}`, state: 'announced', seconds: i },
      }),
    );
    let sequence = 0;
    const parts = encodeFacts(BOOT, () => ++sequence, vips, SECRET);
    expect(Math.max(...parts.map((p) => p.length))).toBeLessThanOrEqual(MAX_BYTES);
    const read = parts.map((p) => openFacts(p, [SECRET]));
    expect(read.flatMap((m) => ('vips' in m ? m.vips : []))).toEqual(vips);
    expect(read.map((m) => 'sequence' in m && m.sequence)).toEqual(parts.map((_, i) => i + 1));
    expect(encodeFacts(BOOT, () => 1, [], SECRET)).toEqual([]);
  });

  it('whatever comes is read or refused, never thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (random, head) => {
        const bytes = Buffer.from(random);
        const m = decodeFacts(head ? Buffer.concat([Buffer.from(VECTOR.slice(0, 44), 'hex'), bytes]) : bytes);
        expect(isDecodeError(m) || Array.isArray(m.vips)).toBe(true);
      }),
    );
    for (let n = 0; n < VECTOR.length / 2; n++)
      expect(isDecodeError(decodeFacts(Buffer.from(VECTOR, 'hex').subarray(0, n)))).toBe(true);
  });

  it('a heartbeat says that its sender reads them; one that does not is the heartbeat of before', () => {
    const beat = {
      ...({ site: 'dc1', node: 'edge-1', grade: 'full', weight: 1, fit: true, leaving: false } as const),
      ...{ boot: 1, sequence: 1, time: 1, heard: [], claims: [] },
    };
    const read = (h: Parameters<typeof encodeHeartbeat>[0]) => {
      const m = decodeHeartbeat(encodeHeartbeat(h, SECRET)[0].subarray(0, -32));
      if (isDecodeError(m)) throw new Error(m.code);
      return m.facts;
    };
    expect(read(beat)).toBeUndefined();
    expect(read({ ...beat, facts: true })).toBe(true);
  });
});

describe('members', () => {
  const vipsOf = (n: World['nodes'][number], of: string) => n.cluster.status().members.find((m) => m.node === of)?.vips;

  it('know of each other what is announced and used, until it is old', () => {
    const w = new World();
    const [a, b] = [w.add(), w.add()];
    w.run(1000);
    a.cluster.sayVips(FACTS);
    w.run(100);
    const [v4, v6] = vipsOf(b, 'edge-1')!;
    expect(v4).toEqual({ address: '192.0.2.10', state: 'announced', last_packet: expect.any(Number) });
    expect(Math.abs(w.clock.wallMs() - 3100 - (v4.last_packet ?? 0))).toBeLessThan(200);
    expect(v6).toEqual({ address: '2001:db8::10', state: 'degraded' });
    w.run(20_000);
    expect(vipsOf(b, 'edge-1')).toEqual([]);
  });

  it('ignore strangers, repetitions and earlier runs; who does not read them is sent none', () => {
    const w = new World();
    const [a, b] = [w.add(), w.add()];
    const old = w.segment.host('192.0.2.3');
    const opened = old.openUdp({ address: '192.0.2.3', port: 11790 });
    if (!opened.ok) throw new Error(opened.error);
    let facts = 0;
    opened.socket.onPacket = (p) => {
      if (isFacts(p.data)) facts++;
    };
    const beat = (sequence: number) => {
      const h = { site: 'dc1', node: 'edge-3', grade: 'full', weight: 1, fit: true, leaving: false } as const;
      const rest = { boot: 5, sequence, time: w.clock.wallMs(), heard: [], claims: [] };
      for (const bytes of encodeHeartbeat({ ...h, ...rest }, SECRET)) opened.socket.send(bytes, '192.0.2.1', 11790);
    };
    beat(1);
    w.run(500);
    beat(2);
    w.run(100);
    a.cluster.sayVips(FACTS);
    w.run(100);
    expect(vipsOf(b, 'edge-1')).toHaveLength(2);
    expect(facts).toBe(0);
    const said = (boot: number, sequence: number, state: VipFact['state']) => {
      const vips: VipFact[] = [{ address: '192.0.2.10', state }];
      for (const bytes of encodeFacts(boot, () => sequence, vips, SECRET))
        opened.socket.send(bytes, '192.0.2.1', 11790);
      w.run(40);
      return vipsOf(a, 'edge-3')?.[0]?.state;
    };
    expect(said(4, 1, 'announced')).toBeUndefined();
    expect(said(5, 2, 'announced')).toBe('announced');
    expect(said(5, 2, 'withdrawn')).toBe('announced');
    expect(said(5, 3, 'withdrawn')).toBe('withdrawn');
  });
});
