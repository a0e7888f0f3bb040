/**
 * The core once more with no IPv4 anywhere, not even 127.0.0.1: notifications and routes to Kafka through a VIP that tidegate announces
 * over IPv6. `core` is the router, the device and the broker's machine; `node` is tidegate.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { KafkaLab } from './kafka.ts';
import { Kcat } from './kcat.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin } from './peers.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const CORE = '2001:db8:1::1';
const NODE6 = '2001:db8:1::2';
const VIP = '2001:db8:ff::10';
const LINK_DOWN = '1.3.6.1.6.3.1.1.5.3';
const ENGINE = '80001f880474696465676174652d763600';

const lab = new Lab();
let core: Namespace;
let node: Namespace;
let frr: Frr;
let kafka: KafkaLab;
let t: Tidegate;
let traps: Kcat;
let updates: Kcat;
let peers: Kcat;

beforeAll(async () => {
  core = lab.namespace('core', { ipv4: false });
  node = lab.namespace('node', { ipv4: false });
  lab.link({ ns: core, dev: 'eth0', addresses: [`${CORE}/64`] }, { ns: node, dev: 'eth0', addresses: [`${NODE6}/64`] });
  [frr, kafka] = await Promise.all([
    Frr.start(core, {
      bmp: true,
      config: `router bgp 64500
 bgp router-id 192.0.2.254
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor ${NODE6} remote-as 64512
 neighbor ${VIP} remote-as 64512
 neighbor ${VIP} ebgp-multihop 3
 neighbor ${VIP} timers connect 1
 address-family ipv6 unicast
  network 2001:db8:77::/48
  neighbor ${NODE6} activate
  neighbor ${VIP} activate
 exit-address-family
 bmp targets tidegate
  bmp monitor ipv6 unicast post-policy
  bmp connect ${VIP} port 11019 min-retry 200 max-retry 1000
 exit`,
      zebra: 'ipv6 route 2001:db8:77::/48 lo',
    }),
    KafkaLab.start({ address: CORE, prefix: core.prefix, basePort: 19092, heap: '512m' }),
  ]);
  t = await Tidegate.start({
    ns: node,
    config: {
      node: 'edge-1',
      workers: 1,
      collectors: {
        snmp_trap: {
          listen: [{ vip: 'ingress', port: 162 }],
          communities: [{ name: 'public', from: ['2001:db8::/32'] }],
          engine: { id: ENGINE, boots: 1, epoch: '2026-01-01T00:00:00Z' },
          users: [
            {
              name: 'noc',
              auth: { protocol: 'sha256', passphrase: 'authentication' },
              priv: { protocol: 'aes128', passphrase: 'encryption-pass' },
            },
          ],
        },
        bmp: { listen: [{ vip: 'ingress', port: 11019 }] },
        bgp: {
          listen: [{ vip: 'ingress', port: 179 }],
          asn: 64512,
          router_id: '192.0.2.2',
          peers: [{ address: CORE, asn: 64500 }],
        },
      },
      lb: {
        rise: '200ms',
        drain: { linger: '200ms', timeout: '5s' },
        vips: [{ name: 'ingress', addresses: [`${VIP}/128`] }],
        bgp: { asn: 64512, peers: [{ address: CORE, asn: 64500, connect_retry: '1s' }] },
      },
      export: { kafka: { brokers: kafka.bootstrap() }, stdout: { enabled: false } },
      admin: { listen: '[::1]:0' },
    },
  });
  expect(await t.cli(['topics', 'apply'])).toMatchObject({ code: 0, stderr: '' });
  const follow = (type: string) => new Kcat(kafka.bootstrap(), `tidegate.${type}`, core);
  [traps, updates, peers] = [follow('snmp.trap.v1'), follow('bmp.update.v1'), follow('bgp.peer.v1')];
}, 180_000);

afterAll(async () => {
  await t?.close();
  await kafka?.close();
  await lab.close();
});

describe.skipIf(!labAvailable('bgpd', 'vtysh', 'snmptrap', 'snmpinform', 'kcat', 'java'))('without any IPv4', () => {
  it('there is none', () => {
    for (const ns of [core, node]) expect(ns.ip('-4', 'address').trim()).toBe('');
  });

  it('the VIP is in the router’s table, over IPv6, and in its kernel', async () => {
    const [path] = await frr.waitPaths('ipv6', `${VIP}/128`, 1);
    expect(path.nexthops?.some((n) => n.ip === NODE6)).toBe(true);
    await waitFor(() => core.routes(6).some((r) => r.dst === VIP), 'the route in the kernel');
  });

  it('traps and informs of every version reach Kafka through the VIP', async () => {
    const v3 = [
      '-v3',
      '-l',
      'authPriv',
      '-u',
      'noc',
      '-a',
      'SHA-256',
      '-A',
      'authentication',
      '-x',
      'AES',
      '-X',
      'encryption-pass',
    ];
    const to = `udp6:[${VIP}]:162`;
    const send = (tool: 'snmptrap' | 'snmpinform', args: string[], value: number) =>
      core.exec([
        labBin(tool),
        '-r',
        '3',
        '-t',
        '3',
        ...args,
        to,
        '1',
        LINK_DOWN,
        '1.3.6.1.2.1.2.2.1.1.7',
        'i',
        String(value),
      ]);
    await send('snmptrap', ['-v2c', '-c', 'public'], 1);
    await send('snmpinform', ['-v2c', '-c', 'public'], 2);
    await send('snmptrap', ['-e', '0x80001f880476362e736e6d7074726170', ...v3], 3);
    await send('snmpinform', v3, 4);
    // Of SNMPv1, whose agent-addr has room for IPv4 only: one with another's address, one that has none to say.
    const v1 = (agent: string, value: number) =>
      core.exec([
        ...[labBin('snmptrap'), '-v1', '-c', 'public', to, '1.3.6.1.4.1.99999', agent, '2', '0', '1'],
        ...['1.3.6.1.2.1.2.2.1.1.7', 'i', String(value)],
      ]);
    await v1('192.0.2.77', 5);
    await v1('0.0.0.0', 6);
    const events = await traps.wait(() => true, 6, 'the notifications');
    const seen = events.map((e) => [e.data.version, e.data.pdu, e.data.varbinds[0].value]).sort((a, b) => a[2] - b[2]);
    expect(seen).toEqual([
      ['v2c', 'trap', 1],
      ['v2c', 'inform', 2],
      ['v3', 'trap', 3],
      ['v3', 'inform', 4],
      ['v1', 'trap', 5],
      ['v1', 'trap', 6],
    ]);
    const ofV1 = events.filter((e) => e.data.version === 'v1');
    expect(ofV1.map((e) => e.data.agent_address)).toEqual(['192.0.2.77', undefined]);
    expect(ofV1.map((e) => e.data.trap_oid)).toEqual([LINK_DOWN, LINK_DOWN]);
    expect(new Set(events.map((e) => e.data.source.address))).toEqual(new Set([CORE]));
    expect(new Set(events.map((e) => e.key))).toEqual(new Set([`default|${CORE}`]));
  });

  it('BMP of the router, and its BGP session with the collector', async () => {
    const found = await updates.wait(
      (e) => (e.data.announce ?? []).some((a: { prefix: string }) => a.prefix === `${VIP}/128`),
      1,
      'the VIP’s own route over BMP',
    );
    expect(found[0].data.router.address).toBe(CORE);
    expect(found[0].data.peer.address).toBe(NODE6);
    const [up] = await peers.wait((e) => e.data.state === 'up', 1, 'the collector’s session');
    expect(up.data.peer).toMatchObject({ address: CORE, asn: 64500 });
  });

  it('its own verbs find it, and it goes in order', async () => {
    const status = await t.json<{ lb: { decision: { grade: string }; vips: { last_packet?: number }[] } }>(['status']);
    expect(status.lb.decision.grade).toBe('full');
    expect(status.lb.vips[0].last_packet).toBeGreaterThan(0);
    expect((await t.sigterm()).code).toBe(0);
    await frr.waitPaths('ipv6', `${VIP}/128`, 0);
    expect(node.ip('-6', 'address')).not.toContain(VIP);
  });
});
