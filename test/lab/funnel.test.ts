/** What the host loses, by the kernel's own counters in a namespace where nobody else loses anything: each row of `status` exact to one. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import { RECEIVE_BUFFER } from '../../src/net/udp.ts';
import { Lab } from './netns.ts';
import { labAvailable } from './peers.ts';
import { Script } from './scenario-script.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const FROM = { ipv4: '10.1.0.1', ipv6: '2001:db8:1::1' };
const TO = { ipv4: '10.1.0.2', ipv6: '2001:db8:1::2' };

interface Row {
  stage: string;
  of: string;
  count: number;
}

const lab = new Lab();
let wire: Script;
let t: Tidegate;

/** The rows of the funnel by stage and what they are about. */
async function rows(): Promise<Record<string, number>> {
  const { funnel } = await t.status<{ funnel: Row[] }>();
  return Object.fromEntries(funnel.map((r) => [`${r.stage} ${r.of}`, r.count]));
}

/** Waits until these rows are so; and then they stay so. */
async function exactly(wanted: Record<string, number>): Promise<void> {
  const shown = async (): Promise<Record<string, number>> => {
    const all = await rows();
    return Object.fromEntries(Object.keys(wanted).map((k) => [k, all[k] ?? 0]));
  };
  await waitFor(async () => {
    const now = await shown();
    if (Object.entries(wanted).every(([k, n]) => now[k] >= n)) return true;
    throw new Error(JSON.stringify(now));
  }, JSON.stringify(wanted));
  await new Promise((done) => setTimeout(done, 1500));
  expect(await shown()).toEqual(wanted);
}

const available = labAvailable('ip');

beforeAll(async () => {
  if (!available) return;
  const sender = lab.namespace('sender');
  const node = lab.namespace('node', {
    sysctl: { 'net.ipv4.ipfrag_time': 1, 'net.ipv6.ip6frag_time': 1, 'net.ipv6.conf.default.router_solicitations': 0 },
  });
  lab.link(
    { ns: sender, dev: 'eth0', addresses: [`${FROM.ipv4}/24`, `${FROM.ipv6}/64`] },
    { ns: node, dev: 'eth0', addresses: [`${TO.ipv4}/24`, `${TO.ipv6}/64`] },
  );
  const [{ address: mac }] = JSON.parse(node.ip('-json', 'link', 'show', 'eth0')) as { address: string }[];
  wire = new Script(sender, 'wire.ts', { device: 'eth0', mac, from: FROM, to: TO });
  // Without the add-on: its receive buffers are larger than what a test can fill at once.
  t = await Tidegate.start({
    ns: node,
    env: { TIDEGATE_NO_NATIVE: '1' },
    config: {
      workers: 1,
      collectors: { snmp_trap: { listen: [`${TO.ipv4}:10162`], communities: [{ name: 'public' }] } },
    },
  });
});

afterAll(async () => {
  await t?.close();
  await lab.close();
});

it.skipIf(!available)('datagrams for a port that nobody has', async () => {
  const before = await rows();
  await wire.ask('datagrams', { count: 37, address: TO.ipv4, port: 4444, hex: '00' });
  await wire.ask('datagrams', { count: 11, address: TO.ipv6, port: 4444, hex: '00' });
  await exactly({ 'host udp_no_ports': (before['host udp_no_ports'] ?? 0) + 48 });
});

it.skipIf(!available)('first fragments without a second, of both families', async () => {
  const before = await rows();
  await wire.ask('fragments4', { count: 23 });
  await wire.ask('fragments6', { count: 14 });
  await exactly({ 'host ip_reasm_fails': (before['host ip_reasm_fails'] ?? 0) + 37 });
});

it.skipIf(!available)('frames of no protocol, dropped at the interface', async () => {
  const before = await rows();
  await wire.ask('strange', { count: 19 });
  await exactly({ 'host nic_rx_dropped': (before['host nic_rx_dropped'] ?? 0) + 19 });
});

it.skipIf(!available)(
  'a full socket: sent = received + dropped, in the rows of the socket and of the host',
  async () => {
    const trap = buildTrap({
      version: 'v2c',
      community: 'public',
      trapOid: '1.3.6.1.6.3.1.1.5.3',
      uptime: 1,
      varbinds: [{ oid: '1.3.6.1.4.1.99999.1', type: 'octet-string', value: 'x'.repeat(1300) }],
    });
    // The kernel doubles what it grants, and charges at least 2 KiB for each of these.
    const granted = Math.min(RECEIVE_BUFFER, Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8')));
    const count = Math.ceil((1.2 * 2 * granted) / 2048);
    const before = await rows();
    const of = (all: Record<string, number>, key: string): number => (all[key] ?? 0) - (before[key] ?? 0);
    const [worker] = t.children(/worker/);
    process.kill(worker, 'SIGSTOP');
    try {
      await wire.ask('datagrams', { count, address: TO.ipv4, port: 10162, hex: trap.toString('hex') });
    } finally {
      process.kill(worker, 'SIGCONT');
    }
    const all = await waitFor(async () => {
      const now = await rows();
      const known = of(now, 'received snmp_trap') + of(now, 'socket snmp_trap');
      if (known >= count && of(now, 'spooled snmp.trap.v1') === of(now, 'received snmp_trap')) return now;
      throw new Error(JSON.stringify(now));
    }, 'all datagrams to be received or counted as dropped');
    const [received, dropped] = [of(all, 'received snmp_trap'), of(all, 'socket snmp_trap')];
    expect(received + dropped).toBe(count);
    expect(dropped).toBeGreaterThan(0);
    await exactly({
      'host udp_rcvbuf_errors': dropped,
      'host udp_in_errors': dropped,
      'socket snmp_trap': dropped,
    });
    console.log(`${count} traps to a stopped worker: ${received} received, ${dropped} dropped`);
  },
);
