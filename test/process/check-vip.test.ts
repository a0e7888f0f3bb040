/** `check` on VIPs: what nobody would learn of, what this machine lacks by name, and peers dialled as the speaker dials them. */
import { describe, expect, it } from 'vitest';
import { type Config, configSchema } from '../../src/config/schema.ts';
import type { DialOptions } from '../../src/net/types.ts';
import { checkPeers, checkVips, type VipHost } from '../../src/process/check-vip.ts';
import { requireNative } from '../net/helpers.ts';

const LISTEN = { snmp_trap: { listen: [{ vip: 'ingress', port: 162 }], communities: [{ name: 'public' }] } };
const VIPS = [{ name: 'ingress', addresses: ['203.0.113.10/32'] }];
const PEER = { address: '192.0.2.254', asn: 64500 };
const config = (lb: object, more: object = {}) =>
  configSchema.parse({ node: 'edge-1', collectors: LISTEN, lb: { vips: VIPS, ...lb }, ...more }) as Config;
const bgp = (peer: object = {}, over: object = {}) => ({ bgp: { asn: 64512, peers: [{ ...PEER, ...peer }], ...over } });

const host = (over: Partial<VipHost> = {}): VipHost => ({
  native: requireNative(),
  nativeProblem: undefined,
  has: () => true,
  interfaces: ['lo', 'eth0'],
  ...over,
});
const bare = host({ native: undefined, nativeProblem: 'it is not built' });
const says = (c: Config, h = host()) => checkVips(c, h).map((f) => `${f.severity}: ${f.what}`);

describe('check, of VIPs', () => {
  it('says nothing where nothing is wrong', () => expect(says(config(bgp()))).toEqual([]));

  it('names VIPs that nobody learns of, that no listener serves, and an owner that every node is', () => {
    expect(says(config({}))).toEqual([expect.stringMatching(/^problem: nobody would learn of the VIPs ingress/)]);
    const two = { ...bgp(), vips: [...VIPS, { name: 'b', addresses: ['203.0.113.11/32'] }] };
    expect(says(config(two))).toEqual([expect.stringMatching(/^note: no listener serves the VIP b \(203.0.113.11\)/)]);
    const owner = { ...bgp(), vips: [{ ...VIPS[0], mode: 'owner' }] };
    expect(says(config(owner))).toEqual([expect.stringMatching(/^note: mode: owner .* each node takes itself/)]);
    const cluster = { members: ['192.0.2.1', '192.0.2.2'], secret: 'sixteen or more characters' };
    expect(says(config(owner, { cluster }))).toEqual([]);
    expect(says(config({ l2: {} }))).toEqual([expect.stringMatching(/^note: layer 2 .* every node would take them/)]);
  });

  it.each([
    ['password', bgp({ password: 'x' }), /`password` of lb.bgp.peers 192.0.2.254 .* no session/],
    ['gtsm', bgp({ gtsm: true }), /`gtsm` of .* no session/],
    ['multihop', bgp({ multihop: 2 }), /`multihop` of .* no session/],
    ['bfd', bgp({ bfd: true }), /`bfd` of .* the path is not watched/],
    ['vrrp', { vrrp: [{ vrid: 7, interface: 'eth0', vips: ['ingress'] }] }, /lb.vrrp .* not announced/],
  ])('without the add-on names %s', (_, lb, what) => {
    expect(says(config(lb), bare)).toEqual([expect.stringMatching(what)]);
    expect(says(config(lb), bare)[0]).toMatch(/^problem: .* it is not built$/);
    expect(says(config(lb))).toEqual([]);
  });

  it('without the add-on names cluster and layer 2', () => {
    const cluster = { members: ['192.0.2.1', '192.0.2.2'], secret: 'sixteen or more characters' };
    expect(says(config({ l2: { interfaces: ['eth0'] } }, { cluster }), bare)).toEqual([
      expect.stringMatching(/problem: lb.l2 needs the native add-on/),
      expect.stringMatching(/problem: cluster needs the native add-on, and no member is heard/),
    ]);
  });

  it('names missing capabilities and interfaces', () => {
    const vrrp = { vrrp: [{ vrid: 7, interface: 'nosuch0', vips: ['ingress'] }] };
    expect(says(config(vrrp), host({ has: () => false }))).toEqual([
      expect.stringMatching(/^note: without CAP_NET_ADMIN .* or a LAN interface/),
      expect.stringMatching(/^note: lb.vrrp needs CAP_NET_RAW/),
      'note: lb.vrrp (vrid 7): there is no interface nosuch0 here',
    ]);
    const more = bgp({ local_address: 'eth9' }, { listen: ['192.0.2.1:179'] });
    expect(says(config(more), host({ has: (c) => c !== 'NET_BIND_SERVICE' }))).toEqual([
      expect.stringMatching(/^note: lb.bgp.listen 192.0.2.1:179 is below 1024/),
      'note: local_address of the BGP peer 192.0.2.254: there is no interface eth9 here',
    ]);
  });
});

describe('check --connect, of peers', () => {
  const dialled: DialOptions[] = [];
  const check = async (lb: object, error?: string) => {
    dialled.length = 0;
    const found = await checkPeers(config(lb, { networks: { lan: { device: 'eth7' } } }), (o, done) => {
      dialled.push(o);
      if (error !== undefined) done({ ok: false, error });
      else done({ ok: true, connection: { destroy: () => {} } as never });
      return () => {};
    });
    return found.map((f) => `${f.severity}: ${f.what}`);
  };

  it('dials as the speaker does', async () => {
    const peer = { password: 'sesame', gtsm: true, local_address: 'lo', network: 'lan' };
    expect(await check(bgp(peer))).toEqual(['ok: BGP peer 192.0.2.254:179 accepts connections']);
    expect(dialled).toEqual([
      {
        ...{ address: '192.0.2.254', port: 179, localAddress: '127.0.0.1', device: 'eth7', ttl: 255, minTtl: 255 },
        ...{ password: 'sesame', ao: undefined, timeoutMs: 3000 },
      },
    ]);
  });

  it('names peers that are not dialled', async () => {
    expect(await check(bgp({ passive: true }, { listen: ['192.0.2.1:179'] }))).toEqual([
      'ok: BGP peer 192.0.2.254:179 is waited for (passive): not dialled',
    ]);
    expect(await check(bgp({ nodes: ['core-*'] }))).toEqual([
      'ok: BGP peer 192.0.2.254:179 is for the nodes core-*, not for edge-1: not tried',
    ]);
    expect(dialled).toEqual([]);
  });

  it('says what is wrong', async () => {
    expect(await check(bgp({ local_address: 'nosuch0' }))).toEqual([
      'problem: BGP peer 192.0.2.254:179: local_address: nosuch0 has no IPv4 address',
    ]);
    expect(await check(bgp(), 'ECONNREFUSED')).toEqual(['problem: BGP peer 192.0.2.254:179: ECONNREFUSED']);
  });
});
