import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { encodeArp, gratuitousReply } from '../../../src/codec/arp/arp.ts';
import { decodeVrrp, encodeVrrp, type VrrpAdvert } from '../../../src/codec/vrrp/vrrp.ts';
import { parseIp } from '../../../src/core/ip.ts';
import { lbConfig } from '../../../src/lb/config.ts';
import { macOf, Segment, type SimNode } from './segment.ts';

const VIPS = [
  { name: 'a', addresses: ['192.0.2.100/32', '2001:db8::100/128'] },
  { name: 'b', addresses: ['192.0.2.101/32'] },
];

function config(over: Record<string, unknown> = {}, vips: object[] = VIPS): Record<string, unknown> {
  return { vips, vrrp: [{ vrid: 7, interface: 'eth0', vips: ['a', 'b'], advert_interval: '100ms', ...over }] };
}

function status(n: SimNode, name = 'vrid-7/ipv4') {
  return n.backEnd!.status().routers.find((r) => r.name === name)!;
}

/** Lets a message arrive as if somebody on the wire had sent it. */
function inject(
  n: SimNode,
  advert: Partial<VrrpAdvert> | Buffer,
  over: { source?: string; destination?: string; ttl?: number; dialect?: 'pseudo-header' | 'rfc9568' } = {},
): void {
  const { source = '192.0.2.77', destination = '224.0.0.18', ttl = 255, dialect = 'pseudo-header' } = over;
  const [from, to] = [parseIp(source)!, parseIp(destination)!];
  const base: VrrpAdvert = {
    version: 3,
    vrid: 7,
    priority: 200,
    interval: 10,
    addresses: ['192.0.2.100', '192.0.2.101'],
  };
  const data = Buffer.isBuffer(advert) ? advert : encodeVrrp({ ...base, ...advert }, from, to, dialect);
  n.arrive(from.length === 4 ? 4 : 6, { data, source, sourcePort: 0, destination, ttl, ifindex: 1 });
}

function lan(
  count: number,
  over: (i: number) => Record<string, unknown> = () => ({}),
): { s: Segment; nodes: SimNode[] } {
  const s = new Segment();
  s.record = true;
  const nodes = Array.from({ length: count }, (_, i) => s.node(config({ priority: 100 + i, ...over(i) })));
  for (const n of nodes) n.start();
  return { s, nodes };
}

describe('VRRP back end', () => {
  it('the best of three is active for both families, has the addresses and says so', () => {
    const { s, nodes } = lan(3);
    s.clock.advance(2000);
    expect(nodes.map((n) => [...n.states.values()])).toEqual([
      ['Backup', 'Backup'],
      ['Backup', 'Backup'],
      ['Active', 'Active'],
    ]);
    expect(nodes.map((n) => n.bound)).toEqual([[], [], ['192.0.2.100/32', '192.0.2.101/32', '2001:db8::100/128']]);
    expect(nodes[2].needed()[0]).toEqual({
      prefix: '192.0.2.100/32',
      interface: 'eth0',
      scope: 'link',
      lifetime: 5000,
    });
    expect(nodes[2].backEnd!.facts('192.0.2.100/32')).toEqual({ announced: true, obstacle: undefined });
    expect(nodes[0].backEnd!.facts('192.0.2.100/32')).toEqual({
      announced: false,
      obstacle: '192.0.2.3 is active with priority 102',
      holder: '192.0.2.3',
    });
    expect(status(nodes[0])).toMatchObject({
      ...{ vrid: 7, version: 3, state: 'Backup', priority: 100, mode: 'multicast', source: '192.0.2.1' },
      active: { address: '192.0.2.3', priority: 102, self: false },
      vips: [
        { address: '192.0.2.100', bound: false },
        { address: '192.0.2.101', bound: false },
      ],
    });
    expect(status(nodes[2], 'vrid-7/ipv6').active).toEqual({ address: 'fe80::3', priority: 102, self: true });
    expect(JSON.parse(JSON.stringify(nodes[2].backEnd!.status())).foreign).toEqual([]);
    const instance = 'vrid-7/ipv4';
    expect(nodes[2].metrics.handle('tidegate_lb_vrrp_state', { instance }).value).toBe(2);
    expect(nodes[0].metrics.handle('tidegate_lb_vrrp_state', { instance }).value).toBe(1);
    expect(nodes[2].metrics.handle('tidegate_lb_vrrp_transitions_total', { instance }).value).toBe(2);
    const sent = nodes[2].metrics.handle('tidegate_lb_vrrp_adverts_total', { instance, direction: 'sent' }).value;
    expect(sent).toBe(status(nodes[2]).adverts.sent);
    expect(status(nodes[0]).adverts.received).toBeGreaterThanOrEqual(sent - 1);
  });

  it('tells the neighbours in both forms, five times at once and five times after the delay', () => {
    const { s } = lan(1);
    s.clock.advance(3000);
    const once = ['request 192.0.2.100', 'reply 192.0.2.100', 'request 192.0.2.101', 'reply 192.0.2.101'];
    const five = (list: string[]) => Array.from({ length: 5 }, () => list).flat();
    const v6 = five(['advertisement 2001:db8::100']);
    const seen = s.announcements();
    expect(seen.filter((x) => !x.startsWith('adv'))).toEqual(five(once));
    expect(seen.filter((x) => x.startsWith('adv'))).toEqual(v6);
    s.clock.advance(3000);
    expect(s.announcements()).toHaveLength(2 * seen.length);
    s.clock.advance(30_000);
    expect(s.announcements()).toHaveLength(2 * seen.length);
  });

  it('255 addresses: every one is told before any a second time, in parts', () => {
    const s = new Segment();
    s.record = true;
    const addresses = Array.from({ length: 255 }, (_, i) => `198.51.100.${i}/32`);
    const n = s.node(config({ vips: ['many'], advert_interval: '1s' }, [{ name: 'many', addresses }]));
    n.start();
    s.clock.advance(3700);
    const seen = s.announcements();
    expect(seen).toHaveLength(255 * 2 * 5);
    expect(new Set(seen.slice(0, 510)).size).toBe(510);
    expect(s.messages[0].data).toHaveLength(8 + 255 * 4);
  });

  it('priority 0 when it stops: another is there before the address goes', async () => {
    const { s, nodes } = lan(2);
    s.clock.advance(2000);
    const [heir, leaver] = nodes;
    let ended = false;
    const before = heir.events.length;
    const stop = leaver.backEnd!.stop('shutting down').then(() => {
      ended = true;
    });
    expect(leaver.needed()).toHaveLength(3);
    expect(ended).toBe(false);
    s.clock.advance(99);
    expect(heir.active).toBe(true);
    expect(heir.bound).toHaveLength(3);
    s.clock.advance(300);
    await stop;
    expect(leaver.needed()).toEqual([]);
    expect(status(leaver)).toMatchObject({ state: 'Initialize', reason: 'shutting down', priority: 0 });
    expect(heir.events.slice(before).filter((e) => e.includes('>Active'))).toHaveLength(2);
  });

  it('one that stops alone does not wait for ever, a Backup not at all', async () => {
    const { s, nodes } = lan(1);
    const backup = nodes[0].backEnd!;
    await backup.stop('at once');
    const other = new Segment();
    const n = other.node(config());
    n.start();
    other.clock.advance(1000);
    const stop = n.backEnd!.stop('alone');
    other.clock.advance(400);
    await stop;
    expect(s.messages).toEqual([]);
  });

  it('a Backup that was frozen finds the adverts that waited, and does not take over', () => {
    const { s, nodes } = lan(2);
    s.clock.advance(2000);
    const before = nodes[0].events.length;
    nodes[0].freeze();
    s.clock.advance(10_000);
    nodes[0].thaw();
    s.clock.advance(2000);
    expect(nodes[0].events.slice(before)).toEqual([]);
    expect(nodes[1].active).toBe(true);
  });

  it('an Active that was frozen steps back where a better one has taken over, and does not answer each advert that waited', () => {
    const { s, nodes } = lan(2, (i) => ({ priority: i === 0 ? 100 : 90 }));
    s.clock.advance(2000);
    expect(nodes[0].active).toBe(true);
    nodes[0].freeze();
    s.clock.advance(5000);
    expect(nodes[1].active).toBe(true);
    nodes[1].configure(config({ priority: 200 }));
    s.clock.advance(1000);
    const before = s.messages.filter((m) => m.from === nodes[0]).length;
    nodes[0].thaw();
    s.clock.advance(50);
    expect(nodes[0].active).toBe(false);
    // For each family an answer to the adverts of lower priority that waited, and the one that tells the new one to announce again.
    expect(s.messages.filter((m) => m.from === nodes[0]).length - before).toBe(4);
  });

  it('unicast: only the peers are spoken to and listened to', () => {
    const v4 = [{ name: 'a', addresses: ['192.0.2.100/32'] }];
    const s = new Segment();
    s.record = true;
    const peers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
    const nodes = peers.map((me, i) =>
      s.node(config({ vips: ['a'], priority: 100 + i, unicast_peers: peers.filter((p) => p !== me) }, v4)),
    );
    for (const n of nodes) n.start();
    s.clock.advance(2000);
    expect(nodes.map((n) => n.active)).toEqual([false, false, true]);
    expect(new Set(s.messages.map((m) => m.destination))).toEqual(new Set(peers));
    inject(nodes[2], {}, { source: '192.0.2.3', destination: '192.0.2.3' });
    inject(nodes[2], {}, { destination: '192.0.2.3' });
    inject(nodes[2], {});
    expect(status(nodes[2]).refused).toEqual({ 'vrrp-peer': 1, 'vrrp-mode': 1 });
    // No TTL check between hosts: they may be behind a router.
    inject(nodes[2], { addresses: ['192.0.2.100'] }, { source: '192.0.2.1', destination: '192.0.2.3', ttl: 3 });
    expect(nodes[2].active).toBe(false);
  });

  it('both checksums of version 3 are read, either is sent', () => {
    const { s, nodes } = lan(2, (i) => ({ checksum: i === 0 ? 'pseudo-header' : 'rfc9568' }));
    s.clock.advance(2000);
    expect(nodes.map((n) => n.active)).toEqual([false, true]);
    nodes[1].crash();
    s.clock.advance(2000);
    expect(nodes[0].active).toBe(true);
    const dialects = s.messages
      .filter((m) => m.destination === '224.0.0.18')
      .map((m) => {
        const source = m.from === nodes[0] ? '192.0.2.1' : '192.0.2.2';
        const a = decodeVrrp(m.data, parseIp(source)!, parseIp(m.destination)!);
        return `${m.from.name} ${'checksum' in a ? a.checksum : a.code}`;
      });
    expect(new Set(dialects)).toEqual(new Set(['n1 rfc9568', 'n0 pseudo-header']));
  });

  it('version 2 with 3 beside it for IPv6', () => {
    const { s, nodes } = lan(2, () => ({ version: 2, advert_interval: '1s' }));
    s.clock.advance(6000);
    expect(nodes.map((n) => [...n.states.values()])).toEqual([
      ['Backup', 'Backup'],
      ['Active', 'Active'],
    ]);
    expect(new Set(s.messages.map((m) => `${m.destination} ${m.data[0] >> 4}`))).toEqual(
      new Set(['224.0.0.18 2', 'ff02::12 3']),
    );
    inject(nodes[0], { version: 2, interval: 200 });
    inject(nodes[0], { version: 3, interval: 100 });
    expect(status(nodes[0]).refused).toEqual({ 'vrrp-interval': 1, 'vrrp-version': 1 });
  });

  it('refuses by name, and counts', () => {
    const { s, nodes } = lan(1);
    s.clock.advance(1000);
    const [n] = nodes;
    const good = encodeVrrp(
      { version: 3, vrid: 7, priority: 200, interval: 10, addresses: ['192.0.2.100'] },
      parseIp('192.0.2.77')!,
      parseIp('224.0.0.18')!,
      'rfc9568',
    );
    const broken = Buffer.from(good);
    broken[6] ^= 1;
    inject(n, {}, { ttl: 254 });
    inject(n, broken);
    inject(n, Buffer.concat([good, Buffer.alloc(1)]));
    inject(n, Buffer.from('210796010101493cc000026c7365637265740000', 'hex'));
    inject(n, {}, { source: '192.0.2.1' });
    inject(n, Buffer.alloc(0));
    inject(n, Buffer.from([0x31]));
    expect(status(n).refused).toEqual({ 'vrrp-ttl': 1, 'vrrp-checksum': 1, trailing: 1, 'vrrp-authentication': 1 });
    const labels = { instance: 'vrid-7/ipv4', code: 'vrrp-checksum' };
    expect(n.metrics.handle('tidegate_lb_vrrp_refused_total', labels).value).toBe(1);
    expect(n.active).toBe(true);
  });

  it('other addresses: accepted and counted; none in common: said loudly, once', () => {
    const { s, nodes } = lan(1);
    s.clock.advance(1000);
    const [n] = nodes;
    inject(n, { addresses: ['192.0.2.100'] });
    expect(n.active).toBe(true); // For IPv6.
    expect(status(n).state).toBe('Backup');
    expect(n.alarms).toEqual([]);
    for (let i = 0; i < 3; i++) inject(n, { addresses: ['192.0.2.200'] }, { source: '192.0.2.78' });
    expect(status(n).refused).toEqual({ 'vrrp-addresses': 4 });
    expect(n.alarms).toEqual(['192.0.2.78 uses VRID 7 for other addresses']);
  });

  it('names the VRIDs of others', () => {
    const { s, nodes } = lan(1);
    s.clock.advance(1000);
    inject(nodes[0], { vrid: 9, priority: 120, addresses: ['192.0.2.250'] });
    expect(nodes[0].backEnd!.status().foreign).toEqual([
      {
        ...{ interface: 'eth0', family: 'ipv4', vrid: 9, source: '192.0.2.77', priority: 120 },
        ...{ addresses: ['192.0.2.250'], last_seen: s.clock.wallMs() },
      },
    ]);
    expect(nodes[0].active).toBe(true);
  });

  it('another Active that does not give way, and another host with the address, are alarms', () => {
    const { s, nodes } = lan(1);
    s.clock.advance(3000);
    const [n] = nodes;
    for (let i = 0; i < 12; i++) inject(n, { priority: 1 });
    expect(n.alarms).toEqual(['192.0.2.77 is active as well and does not give way']);
    const before = s.frames.length;
    for (let i = 0; i < 3; i++) n.hearFrame(encodeArp(gratuitousReply('02:00:00:00:00:99', '192.0.2.100')));
    n.hearFrame(encodeArp(gratuitousReply('02:00:00:00:00:99', '192.0.2.250')));
    n.hearFrame(encodeArp(gratuitousReply(macOf(n), '192.0.2.100')));
    expect(n.alarms.slice(1)).toEqual(['192.0.2.100 is also at 02:00:00:00:00:99: two hosts have this address']);
    expect(n.backEnd!.facts('192.0.2.100/32')?.duplicate).toMatchObject({ mac: '02:00:00:00:00:99' });
    expect(status(n).rivals).toEqual([{ source: '192.0.2.77', priority: 1, last_seen: expect.any(Number) }]);
    expect(s.frames.length - before).toBe(2);
  });

  it('an address that cannot be bound is given up for another node', () => {
    const { s, nodes } = lan(2);
    nodes[1].cannotBind = true;
    s.clock.advance(10_000);
    expect(nodes.map((n) => n.active)).toEqual([true, false]);
    expect(nodes[1].alarms).toContain('given up: an address could not be bound');
  });

  it('the interface goes and comes back; a node without an own address says so', () => {
    const { s, nodes } = lan(2);
    s.clock.advance(2000);
    nodes[1].setLink(false);
    s.clock.advance(2000);
    expect(nodes.map((n) => n.active)).toEqual([true, false]);
    expect(status(nodes[1])).toMatchObject({ state: 'Initialize', reason: 'interface eth0 is down', priority: 0 });
    nodes[1].setLink(true);
    s.clock.advance(2000);
    expect(nodes.map((n) => n.active)).toEqual([false, true]);
    nodes[1].configure(config({ priority: 101, source: '192.0.2.250', family: 'ipv4' }));
    expect(status(nodes[1]).reason).toBe('192.0.2.250 is not an address of eth0');
    s.clock.advance(2000);
    expect(nodes[0].active).toBe(true);
  });

  it('a change of settings keeps the state; another VRID begins anew', () => {
    const { s, nodes } = lan(1);
    s.clock.advance(2000);
    const [n] = nodes;
    const events = n.events.length;
    n.configure(config({ priority: 55, preempt: false }));
    s.clock.advance(1000);
    expect(n.events).toHaveLength(events);
    expect(status(n)).toMatchObject({ state: 'Active', priority: 55 });
    n.configure(config({ vrid: 8 }));
    n.tell();
    s.clock.advance(2000);
    expect(n.backEnd!.status().routers.map((r) => `${r.name} ${r.state}`)).toEqual([
      'vrid-8/ipv4 Active',
      'vrid-8/ipv6 Active',
    ]);
    n.configure({ vips: VIPS, vrrp: [] });
    s.clock.advance(100);
    expect([n.bound, n.needed(), n.backEnd!.status().routers]).toEqual([[], [], []]);
  });

  it('a node that drains is worse than any other', () => {
    const { s, nodes } = lan(2);
    s.clock.advance(2000);
    nodes[1].draining = true;
    nodes[1].tell();
    s.clock.advance(1000);
    expect(nodes.map((n) => n.active)).toEqual([true, false]);
    expect(status(nodes[1]).priority).toBe(50);
  });
});

describe('lb.vrrp', () => {
  const problems = (over: Record<string, unknown>, vips: object[] = VIPS) => {
    const r = lbConfig.safeParse(config(over, vips));
    return r.success ? [] : r.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`);
  };

  it.each([
    [{ version: 2, advert_interval: '1500ms' }, ['vrrp.0.advert_interval: whole seconds, or version: 3']],
    [{ advert_interval: '41s' }, ['vrrp.0.advert_interval: at most 40.95s']],
    [{ version: 2, family: 'ipv6', advert_interval: '1s' }, ['vrrp.0.version: 3 for ipv6']],
    [{ vips: ['x'] }, ['vrrp.0.vips.0: a name of lb.vips']],
    [{ vips: ['b'], family: 'ipv6' }, ['vrrp.0.vips: a VIP with an address of the family']],
    [
      { unicast_peers: ['192.0.2.2', 'fe80::2'] },
      ['vrrp.0.unicast_peers: addresses of one family, and `source` of the same'],
    ],
    [
      { unicast_peers: ['192.0.2.2'], family: 'ipv6' },
      ['vrrp.0.family: ipv4, as unicast_peers and source are', 'vrrp.0.vips: a VIP with an address of the family'],
    ],
    [{}, []],
  ])('%j', (over, expected) => {
    expect(problems(over)).toEqual(expected);
  });

  it('a VRID, a name and a VIP once; no more addresses than a packet holds', () => {
    const one = { vrid: 7, interface: 'eth0', vips: ['a'] };
    const twice = lbConfig.safeParse({ vips: VIPS, vrrp: [one, one] });
    expect(twice.error!.issues.map((i) => i.message)).toEqual(
      expect.arrayContaining(['another name', 'a VRID once on an interface', 'a VIP in one virtual router']),
    );
    const many = Array.from({ length: 91 }, (_, i) => `2001:db8::${i.toString(16)}/128`);
    expect(problems({ vips: ['m'] }, [{ name: 'm', addresses: many }])).toEqual([
      'vrrp.0.vips: at most 90 ipv6 addresses in one virtual router',
    ]);
  });
});
