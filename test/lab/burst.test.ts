/**
 * More than can be taken: a burst of 200,000 traps in two seconds, and a flood of spoofed SNMPv3 packets beside good traffic. What was
 * sent is what is in Kafka and what was counted as refused or dropped, exact to one, with the add-on and without.
 */
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuSeconds, residentBytes } from '../../bench/lib/process.ts';
import { random } from '../collectors/snmp-trap/mutator.ts';
import { KafkaLab } from './kafka.ts';
import { labAvailable, labBin, NODE, REPO } from './peers.ts';
import { exec } from './proc.ts';
import { metricsOf, portOf, SnmpLoad, seriesOf } from './snmp-load.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const ENGINE = '0x80001f88047469646567617465';

describe.skipIf(!labAvailable())('more than can be taken', () => {
  let kafka: KafkaLab;
  beforeAll(async () => {
    kafka = await KafkaLab.start({});
  });
  afterAll(() => kafka?.close());

  async function start(prefix: string, native: boolean, more: object = {}): Promise<Tidegate> {
    for (const type of ['snmp.trap.v1', 'system.v1', 'security.v1']) await kafka.createTopic(`${prefix}.${type}`, 3);
    return Tidegate.start({
      env: native ? undefined : { ...process.env, TIDEGATE_NO_NATIVE: '1' },
      config: {
        workers: 1,
        admin: { listen: '127.0.0.1:0' },
        collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }], ...more } },
        export: { kafka: { brokers: kafka.bootstrap(), topic_prefix: prefix }, stdout: { enabled: false } },
      },
    });
  }

  async function published(topic: string): Promise<number> {
    const offsets = await kafka.admin((a) => a.fetchTopicOffsets(topic));
    return offsets.reduce((n, p) => n + Number(p.high) - Number(p.low), 0);
  }

  const DROPS = 'tidegate_lost_events_total{collector="snmp_trap",reason="kernel"}';
  const RECEIVED = 'tidegate_received_total{collector="snmp_trap"}';

  it.each([true, false])(
    '200,000 traps in two seconds: sent = published + counted drops (add-on: %s)',
    async (native) => {
      const prefix = `burst-${native}`;
      const t = await start(prefix, native);
      try {
        const port = portOf(t.ready, 'snmp_trap');
        const sender = [NODE, `${REPO}/bench/lib/send-traps.ts`, String(port), '100000', '200000'];
        const { sent, seconds } = JSON.parse((await exec(sender)).stdout) as { sent: number; seconds: number };
        expect(sent).toBe(200_000);
        const page = await waitFor(async () => {
          const p = await metricsOf(t.ready);
          const known = seriesOf(p, RECEIVED) + seriesOf(p, DROPS);
          if (known < sent) throw new Error(`${known} of ${sent} are accounted for`);
          return p;
        }, 'all datagrams received or counted as dropped');
        const [received, drops] = [seriesOf(page, RECEIVED), seriesOf(page, DROPS)];
        expect(received + drops).toBe(sent);
        await waitFor(
          async () => (await published(`${prefix}.snmp.trap.v1`)) >= received,
          'all that was received in Kafka',
        );
        expect(await published(`${prefix}.snmp.trap.v1`)).toBe(received);
        console.log(
          `burst, add-on ${native}: ${sent} in ${seconds.toFixed(1)} s, published ${received}, dropped ${drops}`,
        );
        if (!native) expect(drops).toBeGreaterThan(0);
        expect(await t.sigterm()).toMatchObject({ code: 0 });
        // What was dropped stands in system events too.
        let said = 0;
        for (const r of await kafka.read(`${prefix}.system.v1`)) {
          const e = JSON.parse(String(r.value)) as { kind: string; count: number };
          if (e.kind === 'drop') said += e.count;
        }
        expect(said).toBe(drops);
      } finally {
        await t.close();
      }
    },
  );

  it('a flood of spoofed v3 packets with random engine ids: good traffic loses nothing, each bad packet is counted', async () => {
    const CACHE = 100;
    const t = await start('flood', true, {
      engine: { id: ENGINE, boots: 1, epoch: '2026-01-01T00:00:00Z' },
      // The cache is smaller than what the budget lets in, so that it has to forget.
      new_engines: { per_source: 20, total: 2000, cache: CACHE },
      users: [
        {
          name: 'noc',
          auth: { protocol: 'sha256', passphrase: 'authentication' },
          priv: { protocol: 'aes256', passphrase: 'encryption-pass' },
        },
      ],
    });
    const load = await SnmpLoad.open(portOf(t.ready, 'snmp_trap'));
    try {
      const real = ['-v3', '-u', 'noc', '-l', 'authPriv', '-a', 'SHA-256', '-A', 'authentication'];
      real.push('-x', 'AES-256', '-X', 'encryption-pass', '-e');
      const spoofed = '80001f8804aabbccddeeff0011';
      // A packet of the real user's: only the engine id, and with it the digest, is not what it should be.
      const template = await capture([...real, `0x${spoofed}`]);
      const at = template.indexOf(Buffer.from(spoofed, 'hex')) + 5;
      expect(at).toBeGreaterThan(4);
      const goodV3 = await capture([...real, '0x80001f880467656e75696e65']);
      const device = await load.bind('127.0.88.1');
      let v3 = 0;

      // What the good traffic costs alone, then beside the flood.
      const quiet = await costOf(t.pid, load, async () => {
        await sleep(3000);
      });
      const resident = residentBytes(t.pid);
      const FLOOD = 30_000;
      const loud = await costOf(t.pid, load, async () => {
        let stopped = false;
        const v3Traffic = (async () => {
          for (; !stopped; v3++) {
            await new Promise<void>((done) => device.send(goodV3, load.port, '127.0.0.1', () => done()));
            await sleep(5);
          }
        })();
        await flood(template, at, load.port, FLOOD);
        stopped = true;
        await v3Traffic;
      });
      const accepted = load.traps.size + load.informs.size + v3;
      const sent = FLOOD + accepted;
      await load.answered([...load.informs.keys()]);
      const page = await waitFor(async () => {
        const p = await metricsOf(t.ready);
        const known = seriesOf(p, RECEIVED) + seriesOf(p, DROPS);
        if (known < sent) throw new Error(`${known} of ${sent} are accounted for`);
        return p;
      }, 'all datagrams received');
      const codes: Record<string, number> = {};
      for (const c of page.matchAll(/^tidegate_refused_total\{code="([^"]+)",collector="snmp_trap"\} (\d+)/gm))
        if (c[2] !== '0') codes[c[1]] = Number(c[2]);
      expect({
        drops: seriesOf(page, DROPS),
        repeated: seriesOf(page, 'tidegate_repeated_total{collector="snmp_trap"}'),
        received: seriesOf(page, RECEIVED),
        events: seriesOf(page, 'tidegate_events_total{type="snmp.trap.v1"}'),
        refused: Object.values(codes).reduce((a, b) => a + b, 0),
      }).toEqual({ drops: 0, repeated: 0, received: sent, events: accepted, refused: FLOOD });
      // Most are refused before a key is made for them; the rest for their digest.
      expect(Object.keys(codes).sort()).toEqual(['new-engine-budget', 'wrong-digest']);
      expect(codes['new-engine-budget']).toBeGreaterThan(FLOOD / 4);
      await waitFor(async () => (await published('flood.snmp.trap.v1')) >= accepted, 'the good ones in Kafka');
      expect(await published('flood.snmp.trap.v1')).toBe(accepted);

      // The table of engines does not grow with what is only claimed, nor does the memory.
      const status = await t.status<{ workers: { collectors: { snmp_trap: { v3: { engines: number } } } }[] }>();
      const { engines } = status.workers[0].collectors.snmp_trap.v3;
      expect(engines).toBeLessThanOrEqual(CACHE);
      const grown = residentBytes(t.pid) - resident;
      expect(grown).toBeLessThan(128 * 2 ** 20);
      const each = (loud.cpu - quiet.cpu * (loud.good / quiet.good)) / FLOOD;
      console.log(
        `flood: ${FLOOD} bad beside ${accepted} good (${v3} of them v3), 0 lost; ${(each * 1e6).toFixed(1)} µs CPU a bad packet beyond what the good ones cost; refused ${JSON.stringify(codes)}; ${engines} engines known, resident ${(grown / 2 ** 20).toFixed(1)} MiB more`,
      );
    } finally {
      load.close();
      await t.close();
    }
  });
});

/** Seconds of CPU and good notifications of a stretch of good traffic at 1,000 a second, while `work` goes on. */
async function costOf(pid: number, load: SnmpLoad, work: () => Promise<void>): Promise<{ cpu: number; good: number }> {
  const [before, first] = [cpuSeconds(pid), load.last];
  let stopped = false;
  const good = load.run(() => stopped, 1000);
  await work();
  stopped = true;
  await good;
  return { cpu: cpuSeconds(pid) - before, good: load.last - first };
}

/** What snmptrap sends with these options, as octets. */
async function capture(options: string[]): Promise<Buffer> {
  const socket = createSocket('udp4');
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done));
  const first = new Promise<Buffer>((done) => socket.once('message', done));
  await exec([labBin('snmptrap'), ...options, `127.0.0.1:${socket.address().port}`, '', '1.3.6.1.6.3.1.1.5.3']);
  const packet = await first;
  socket.close();
  return packet;
}

/** `count` packets, each with another engine id, from 2,000 addresses and ports in a seeded random order; some thousand a second. */
async function flood(template: Buffer, at: number, port: number, count: number): Promise<void> {
  const next = random(3414);
  const sockets = await Promise.all(
    Array.from({ length: 2000 }, async (_, i) => {
      const s = createSocket('udp4');
      await new Promise<void>((done) => s.bind(0, `127.0.${100 + (i >> 7)}.${1 + (i & 127)}`, done));
      return s.on('error', () => {});
    }),
  );
  const used = new Set<string>();
  for (let i = 0; i < count; i++) {
    const packet = Buffer.from(template);
    do for (let k = at; k < at + 8; k++) packet[k] = next(256);
    while (used.has(packet.toString('latin1', at, at + 8)));
    used.add(packet.toString('latin1', at, at + 8));
    const socket = sockets[next(sockets.length)];
    await new Promise<void>((done) => socket.send(packet, port, '127.0.0.1', () => done()));
    if (i % 100 === 99) await sleep(5);
  }
  for (const s of sockets) s.close();
}
