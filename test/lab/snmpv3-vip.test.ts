/**
 * One SNMPv3 engine on three nodes: a router that sends each datagram to a node of its own choice stands in front, and unmodified
 * snmpinforms of many users go through it, also while the nodes are restarted one after the other. And a node whose clock is wrong.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labAvailable, labBin } from './peers.ts';
import { type ExecResult, exec } from './proc.ts';
import { listening, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const OWN = '80001f880476697074657374';
const NODES = 3;
const USERS = Array.from({ length: 12 }, (_, i) => ({
  name: `user${i}`,
  auth: { protocol: i % 2 ? 'sha256' : 'sha1', passphrase: `auth of user ${i}` },
  priv: { protocol: i % 3 ? 'aes128' : 'des', passphrase: `priv of user ${i}` },
}));

/** Between a sender and the nodes: each datagram goes to any node, each answer back to its sender. */
class Spray {
  /** Ports of the nodes that the router knows. */
  nodes: number[] = [];
  readonly counts = new Map<number, number>();
  private readonly socket: Socket = createSocket('udp4');
  private readonly flows = new Map<number, Socket>();
  private seed = 1;

  async open(): Promise<number> {
    await new Promise<void>((done) => this.socket.bind(0, '127.0.0.1', done));
    this.socket.on('message', (data, from) => this.forward(data, from));
    return this.socket.address().port;
  }

  private forward(data: Buffer, from: RemoteInfo): void {
    let flow = this.flows.get(from.port);
    if (!flow) {
      flow = createSocket('udp4');
      flow.on('message', (answer) => this.socket.send(answer, from.port, '127.0.0.1'));
      this.flows.set(from.port, flow);
    }
    this.seed = (Math.imul(this.seed, 1_103_515_245) + 12_345) >>> 0;
    const node = this.nodes[(this.seed >>> 16) % this.nodes.length];
    this.counts.set(node, (this.counts.get(node) ?? 0) + 1);
    flow.send(data, node, '127.0.0.1');
  }

  close(): void {
    this.socket.close();
    for (const f of this.flows.values()) f.close();
  }
}

describe.skipIf(!labAvailable('snmpinform', 'snmptrap'))('SNMPv3 behind a VIP', () => {
  const spray = new Spray();
  const nodes: Tidegate[] = [];
  let port: number;
  let home: string;
  let calls = 0;

  const config = (i: number) => ({
    node: `edge-${i}`,
    workers: 1,
    admin: { listen: '127.0.0.1:0' },
    collectors: {
      snmp_trap: {
        listen: ['127.0.0.1:0'],
        engine: { id: `0x${OWN}`, boots: 2, epoch: '2026-01-01T00:00:00Z' },
        users: USERS,
      },
    },
    export: { stdout: { enabled: true } },
  });

  function notify(tool: 'snmptrap' | 'snmpinform', i: number, to: number, value: number): Promise<ExecResult> {
    const u = USERS[i % USERS.length];
    const own = join(home, String(++calls));
    mkdirSync(own);
    return exec(
      [
        ...[
          labBin(tool),
          '-m',
          '',
          '-M',
          '/nonexistent',
          '-v',
          '3',
          '-r',
          '5',
          '-t',
          '2',
          '-l',
          'authPriv',
          '-u',
          u.name,
        ],
        ...['-a', u.auth.protocol === 'sha1' ? 'SHA' : 'SHA-256', '-A', u.auth.passphrase],
        ...['-x', u.priv.protocol === 'des' ? 'DES' : 'AES', '-X', u.priv.passphrase],
        ...[`127.0.0.1:${to}`, String(value), '1.3.6.1.6.3.1.1.5.3', '1.3.6.1.2.1.2.2.1.1.7', 'i', String(value)],
      ],
      { allowFailure: true, env: { ...process.env, SNMP_PERSISTENT_DIR: own, HOME: own } },
    );
  }

  /** Informs while `more` says so, each with a value of its own, some at a time; every sender discovers anew. */
  async function informs(from: number, more: (sent: number) => boolean): Promise<ExecResult[]> {
    const out: ExecResult[] = [];
    let next = 0;
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while (more(next)) {
          const i = next++;
          out[i] = await notify('snmpinform', i, port, from + i);
        }
      }),
    );
    return out;
  }
  const failures = (results: ExecResult[]) => results.filter((r) => r.code !== 0).map((r) => r.stderr);

  const ifIndexOf = (e: { data: Record<string, unknown> }) => (e.data.varbinds as { value: number }[])[0].value;
  /** Value → the ids its events have, over all nodes. */
  function seen(): Map<number, Set<string>> {
    const out = new Map<number, Set<string>>();
    for (const t of nodes)
      for (const e of t.events) {
        if (e.type !== 'snmp.trap.v1') continue;
        const ids = out.get(ifIndexOf(e)) ?? new Set();
        out.set(ifIndexOf(e), ids.add(e.id));
      }
    return out;
  }

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'snmpv3-vip-'));
    nodes.push(...(await Promise.all(Array.from({ length: NODES }, (_, i) => Tidegate.start({ config: config(i) })))));
    spray.nodes = nodes.map((t) => Number(listening(t, 'snmp_trap')[0].split(':')[1]));
    port = await spray.open();
  });

  afterAll(async () => {
    spray.close();
    await Promise.all(nodes.map((t) => t.close()));
    rmSync(home, { recursive: true, force: true });
  });

  async function refused(t: Tidegate): Promise<string[]> {
    const { admin } = t.ready as unknown as { admin: string };
    const text = await (await fetch(`http://${admin}/metrics`)).text();
    return [...text.matchAll(/^tidegate_refused_total\{code="([^"]+)",[^}]*\} ([1-9]\d*)/gm)].map((m) => m[1]);
  }

  it('each datagram to any node: every inform is answered, nothing is asked again', async () => {
    expect(failures(await informs(0, (n) => n < 60))).toEqual([]);
    const all = seen();
    expect([...all.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i));
    for (const ids of all.values()) expect(ids.size).toBe(1);
    for (const t of nodes) await waitFor(async () => (await refused(t)).length > 0, 'the count of discoveries');
    for (const t of nodes) expect(await refused(t)).toEqual(['engine-discovery']);
    expect(spray.counts.size).toBe(NODES);
  });

  it('through a rolling restart of all three', async () => {
    let done = false;
    const sending = informs(1000, (n) => !done && n < 5000);
    for (let i = 0; i < NODES; i++) {
      const all = spray.nodes;
      // As the VIP does: withdrawn first, then stopped, then back.
      spray.nodes = all.filter((_, n) => n !== i);
      await nodes[i].sigterm();
      const before = nodes[i].events;
      nodes[i] = await nodes[i].restart();
      nodes[i].events.unshift(...before);
      spray.nodes = all.with(i, Number(listening(nodes[i], 'snmp_trap')[0].split(':')[1]));
    }
    done = true;
    const results = await sending;
    expect(failures(results)).toEqual([]);
    expect(results.length).toBeGreaterThan(100);
    // On restarted nodes, too: the time went on.
    expect(failures(await informs(8000, (n) => n < 12))).toEqual([]);
    await waitFor(() => {
      const found = seen();
      return results.every((_, i) => found.has(1000 + i));
    }, 'every answered inform as an event');
    // A retry that another node answered has the same id.
    for (const ids of seen().values()) expect(ids.size).toBe(1);
    for (const t of nodes) for (const code of await refused(t)) expect(code, t.said()).toBe('engine-discovery');
  });

  it('a node whose clock went back refuses informs, takes traps, and is the last resort', async () => {
    const t = nodes[0];
    await t.sigterm();
    // What an hour that is over would have left behind.
    writeFileSync(
      join(t.dataDir, 'spool/engine-clock-0.json'),
      JSON.stringify({ boots: 2, ms: Date.now() + 3_600_000 }),
    );
    nodes[0] = await t.restart();
    const own = Number(listening(nodes[0], 'snmp_trap')[0].split(':')[1]);
    const [inform, trap] = await Promise.all([
      exec(
        [
          labBin('snmpinform'),
          '-m',
          '',
          '-v',
          '3',
          '-r',
          '0',
          '-t',
          '1',
          '-l',
          'noAuthNoPriv',
          '-u',
          'user0',
          `127.0.0.1:${own}`,
          '1',
          '1.3.6.1.6.3.1.1.5.1',
        ],
        { allowFailure: true, env: { ...process.env, SNMP_PERSISTENT_DIR: home, HOME: home } },
      ),
      notify('snmptrap', 1, own, 4711),
    ]);
    expect(inform.code).toBe(1);
    expect(inform.stderr).toContain('Timeout');
    expect(trap.code).toBe(0);
    await nodes[0].waitEvents((e) => e.type === 'snmp.trap.v1' && ifIndexOf(e) === 4711, 1);
    await waitFor(async () => (await refused(nodes[0])).includes('clock-behind'), 'the refusal of the inform');
    const status = await nodes[0].status<{ workers: { soft: string[] }[] }>();
    expect(status.workers[0].soft.join()).toMatch(/v3 informs refused: the clock is \d+ s behind/);
    expect(nodes[0].said()).toContain('SNMPv3 informs are refused: the clock is wrong');
  });
});
