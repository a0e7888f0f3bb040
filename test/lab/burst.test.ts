/**
 * More than can be taken: a burst of 200,000 traps in two seconds, and a flood of spoofed SNMPv3 packets beside good traffic. What was
 * sent is what is in Kafka and what was counted as refused or dropped, exact to one, with the add-on and without.
 */
import { createSocket } from 'node:dgram';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../bench/lib/process.ts';
import { KafkaLab } from './kafka.ts';
import { labAvailable, labBin, NODE, REPO } from './peers.ts';
import { exec } from './proc.ts';
import { metricsOf, portOf, SnmpLoad, seriesOf, sumOf } from './snmp-load.ts';
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
    const t = await start('flood', true, {
      engine: { id: ENGINE, boots: 1, epoch: '2026-01-01T00:00:00Z' },
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
      // A packet of the real user's: only the engine id and the digest's octets are not what they should be.
      const template = await capture([
        ...['-v3', '-u', 'noc', '-l', 'authPriv', '-a', 'SHA-256', '-A', 'authentication'],
        ...['-x', 'AES-256', '-X', 'encryption-pass', '-e', '0x80001f8804aabbccddeeff0011'],
      ]);
      const at = template.indexOf(Buffer.from('80001f8804aabbccddeeff0011', 'hex')) + 5;
      expect(at).toBeGreaterThan(4);
      const FLOOD = 30_000;
      let stopped = false;
      const good = load.run(() => stopped, 1000);
      const before = cpuSeconds(t.pid);
      await flood(template, at, load.port, FLOOD);
      const spent = cpuSeconds(t.pid) - before;
      stopped = true;
      await good;
      const sent = FLOOD + load.traps.size + load.informs.size;
      await load.answered([...load.informs.keys()]);
      const page = await waitFor(async () => {
        const p = await metricsOf(t.ready);
        const known = seriesOf(p, RECEIVED) + seriesOf(p, DROPS);
        if (known < sent) throw new Error(`${known} of ${sent} are accounted for`);
        return p;
      }, 'all datagrams received');
      const refused = sumOf(page, 'tidegate_refused_total', /collector="snmp_trap"/);
      const repeated = seriesOf(page, 'tidegate_repeated_total{collector="snmp_trap"}');
      expect({ drops: seriesOf(page, DROPS), repeated }).toEqual({ drops: 0, repeated: 0 });
      expect({ received: seriesOf(page, RECEIVED), refused }).toEqual({ received: sent, refused: FLOOD });
      const accepted = load.traps.size + load.informs.size;
      await waitFor(async () => (await published('flood.snmp.trap.v1')) >= accepted, 'the good ones in Kafka');
      expect(await published('flood.snmp.trap.v1')).toBe(accepted);
      const codes = [...page.matchAll(/^tidegate_refused_total\{code="([^"]+)",collector="snmp_trap"\} (\d+)/gm)];
      console.log(
        `flood: ${FLOOD} bad beside ${accepted} good; at most ${((spent * 1e6) / FLOOD).toFixed(1)} µs CPU a bad packet (the good ones' included); ${codes.map((c) => `${c[1]} ${c[2]}`).join(', ')}`,
      );
      // The table of engines does not grow with what was never proven.
      const status = await t.status<{ workers: { collectors: { snmp_trap: { v3: Record<string, unknown> } } }[] }>();
      console.log(JSON.stringify(status.workers[0].collectors.snmp_trap.v3));
    } finally {
      load.close();
      await t.close();
    }
  });
});

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

/** `count` packets, each with another engine id, from 64 addresses; some thousand a second. */
async function flood(template: Buffer, at: number, port: number, count: number): Promise<void> {
  const sockets = await Promise.all(
    Array.from({ length: 64 }, async (_, i) => {
      const s = createSocket('udp4');
      await new Promise<void>((done) => s.bind(0, `127.0.99.${i + 1}`, done));
      return s.on('error', () => {});
    }),
  );
  for (let i = 0; i < count; i++) {
    const packet = Buffer.from(template);
    packet.writeUInt32BE((i * 2654435761) >>> 0, at);
    packet.writeUInt32BE(i, at + 4);
    await new Promise<void>((done) => sockets[i % sockets.length].send(packet, port, '127.0.0.1', () => done()));
    if (i % 100 === 99) await new Promise((done) => setTimeout(done, 5));
  }
  for (const s of sockets) s.close();
}
