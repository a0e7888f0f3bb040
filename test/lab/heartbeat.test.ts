/** Heartbeats through two nodes to one topic: what was not sent to either, and nothing else, is missing. */
import { execFileSync } from 'node:child_process';
import { afterAll, expect, it } from 'vitest';
import { HEARTBEAT_OIDS, HEARTBEAT_TRAP } from '../../src/collectors/snmp-trap/heartbeat.ts';
import { KafkaLab } from './kafka.ts';
import { labAvailable, labBin } from './peers.ts';
import { freePort, Tidegate, tidegateCli } from './tidegate.ts';
import { waitFor } from './wait.ts';

const cleanup: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const fn of cleanup.reverse()) await fn();
});

it.skipIf(!labAvailable())('loss is measured over all nodes, by the audit and by the metrics', async () => {
  const kafka = await KafkaLab.start({});
  cleanup.push(() => kafka.close());
  const nodes = [];
  for (const node of ['edge-1', 'edge-2']) {
    const admin = await freePort();
    const t = await Tidegate.start({
      config: {
        node,
        workers: 1,
        admin: { listen: `127.0.0.1:${admin}` },
        collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
        export: { kafka: { brokers: kafka.bootstrap() } },
      },
    });
    cleanup.push(() => t.close());
    if (nodes.length === 0) expect(await t.cli(['topics', 'apply'])).toMatchObject({ code: 0 });
    nodes.push({ t, admin, to: (t.ready!.listening as { address: string }[])[0].address });
  }
  const snmptrap = (to: string, n: number) =>
    execFileSync(labBin('snmptrap'), [
      ...['-v2c', '-c', 'public', to, '', HEARTBEAT_TRAP, HEARTBEAT_OIDS.sender, 's', 'probe'],
      ...[HEARTBEAT_OIDS.run, 'u', '1790000000', HEARTBEAT_OIDS.sequence, 'u', String(n)],
    ]);
  // A router sends each to one of both; 7 and 8 are lost on the way, 9 comes twice.
  const kept = [1, 2, 3, 4, 5, 6, 9, 9, 10, 11, 12];
  for (const [i, n] of kept.entries()) snmptrap(nodes[i % 2].to, n);
  const [{ t, to }] = nodes;
  const sent = await tidegateCli([
    'send',
    'trap',
    '--heartbeat',
    '--to',
    to,
    '--every',
    '10ms',
    '--count',
    '20',
    '--name',
    'cli',
  ]);
  expect([sent.code, sent.stdout]).toEqual([0, expect.stringMatching(/^20 heartbeats of cli sent/)]);
  type Report = { heartbeats: Record<string, unknown>[]; unread: unknown[] };
  const read = async () =>
    JSON.parse((await t.cli(['audit', '--kafka', '--heartbeats', '-o', 'json'])).stdout) as Report;
  const all = (r: Report) => r.heartbeats.reduce((n, h) => n + Number(h.received) + Number(h.duplicates), 0);
  await waitFor(async () => all(await read()) === 31, 'all of them in Kafka');
  const { heartbeats, unread } = await read();
  expect(unread).toEqual([]);
  const [cli, probe] = [...heartbeats].sort((a, b) => String(a.sender).localeCompare(String(b.sender)));
  expect(cli).toMatchObject({ sender: 'cli', highest: 20, received: 20, missing: 0, duplicates: 0 });
  expect(probe).toMatchObject({
    ...{ sender: 'probe', highest: 12, received: 10, missing: 2, ranges: [[7, 8]], duplicates: 1 },
  });
  expect((await t.cli(['audit', '--kafka', '--heartbeats'])).code).toBe(1);
  // The same from the metrics of both nodes.
  let received = 0;
  let highest = 0;
  for (const n of nodes) {
    const page = await (await fetch(`http://127.0.0.1:${n.admin}/metrics`)).text();
    const of = (name: string) =>
      Number(new RegExp(`^${name}{[^}]*sender="probe"[^}]*} (\\d+)$`, 'm').exec(page)?.[1] ?? Number.NaN);
    received += of('tidegate_heartbeat_received');
    highest = Math.max(highest, of('tidegate_heartbeat_sequence'));
  }
  // Number 9 came to each node once: a node cannot know of the other.
  expect([highest, received]).toEqual([12, 11]);
});
