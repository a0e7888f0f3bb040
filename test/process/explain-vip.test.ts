/** `explain` on the VIP: the cause in the peer's words, and what to do. */
import { describe, expect, it } from 'vitest';
import { lbConfig } from '../../src/lb/config.ts';
import { explainVips, type LbView, readKernelFacts } from '../../src/process/explain-vip.ts';

const PEER = '192.0.2.254';
const lb = lbConfig.parse({
  vips: [{ name: 'ingress', addresses: ['203.0.113.10/32'] }],
  bgp: { asn: 64512, peers: [{ address: PEER, asn: 64500 }] },
});
const NO_KERNEL = { rpFilter: {}, arpIgnore: {} };

function vip(over: object = {}): object {
  const base = { name: 'ingress', address: '203.0.113.10/32', mode: 'ecmp', back_end: 'bgp', announced: true };
  return { ...base, interface: 'lo', ours: true, last_packet: 1_000_000, peers: [], ...over };
}

function findings(view: object, kernel = NO_KERNEL) {
  return explainVips(lb, { decision: { grade: 'full' }, ...view } as LbView, kernel, 1_000_000);
}

function down(reason: string, more: object = {}) {
  const last_down = { reason, established: false, at: 0, ...more };
  return findings({ peers: [{ peer: PEER, state: 'Idle', last_down }] })[0];
}

describe('explain, of VIPs', () => {
  it('says nothing where nothing is wrong', () => {
    expect(findings({ vips: [vip()], peers: [{ peer: PEER, state: 'Established' }] })).toEqual([]);
  });

  it.each([
    ['notification received', { received: { code: 2, subcode: 2, name: 'OPEN/Bad Peer AS' } }, /AS numbers do not/],
    ['notification received', { received: { code: 6, subcode: 7, name: 'Cease/Collision' } }, /another speaker/],
    ['notification received', { received: { code: 6, subcode: 2, name: 'Cease', text: 'upgrade' } }, /look there/],
    ['hold timer expired', { sent: { code: 4, subcode: 0, name: 'Hold Timer Expired' } }, /hold time/],
    ['connect ECONNREFUSED 192.0.2.254:179', {}, /BGP configured there/],
    ['no answer to our connection', {}, /wants a password/],
    ['connect EHOSTUNREACH', {}, /no route to the router/],
  ])('a session that is down: %s %j', (reason, more, fix) => {
    const f = down(reason, more);
    expect(f).toMatchObject({ at: 'vip', severity: 'problem', fix: expect.stringMatching(fix) });
    expect(f.cause).toContain(reason);
  });

  it('repeats the words of the peer', () => {
    const received = { code: 6, subcode: 2, name: 'Cease/Administrative Shutdown', text: 'core swap' };
    expect(down('notification received', { received }).cause).toContain(
      'the peer says Cease/Administrative Shutdown: core swap',
    );
  });

  it('a VIP that is not bound, cannot be announced to a peer, or that nobody uses', () => {
    expect(findings({ vips: [vip({ error: 'EPERM' })] })[0].cause).toContain('cannot be bound: EPERM');
    const peers = [{ peer: PEER, announced: false, end_of_rib: true, obstacle: 'no IPv4 next hop' }];
    expect(findings({ vips: [vip({ peers })] })[0].cause).toContain(`not announced to ${PEER}: no IPv4 next hop`);
    expect(findings({ vips: [vip({ last_packet: undefined })] })[0].fix).toContain('maximum-paths');
    expect(findings({ vips: [vip({ last_packet: 1 })] })[0].cause).toContain('five minutes');
  });

  it('remembers the words of the peer over attempts that bring none, and what is in the way now comes first', () => {
    const last_notification = { code: 6, subcode: 2, name: 'Cease', text: 'core swap', from: 'peer', at: 0 };
    const of = (reason: string) =>
      findings({
        peers: [{ peer: PEER, state: 'Idle', last_down: { reason, established: false, at: 1 }, last_notification }],
      })[0];
    expect(of('connection closed by the peer')).toMatchObject({
      cause: expect.stringContaining('connection closed by the peer: before that the peer says Cease: core swap'),
      fix: expect.stringMatching(/look there/),
    });
    expect(of('ECONNREFUSED: connection refused').fix).toMatch(/BGP configured there/);
  });

  it('without the add-on the fix is the add-on', () => {
    const reason = 'a TTL, device, password or TCP-AO key of a dialled stream needs the add-on';
    expect(down(reason).fix).toMatch(/npm rebuild/);
    expect(down('this kernel has no TCP-AO').fix).toMatch(/CONFIG_TCP_AO/);
  });

  it('listeners of BGP that are not open', () => {
    const found = findings({ listen_problems: ['tcp 192.0.2.1:179 cannot be opened: the port is in use'] });
    expect(found).toMatchObject([{ severity: 'problem', cause: expect.stringContaining('cannot dial this node') }]);
    expect(found[0].fix).toContain('beside-another-speaker');
  });

  it('packets that come to the other nodes only: the router uses one path, or hashes elsewhere', () => {
    const member = (node: string, last_packet: number | undefined, state = 'announced') => ({
      ...{ node, state: 'alive', vips: [{ address: '203.0.113.10', state, last_packet }] },
    });
    const of = (members: object[], last_packet?: number) =>
      findings({ vips: [vip({ last_packet })], cluster: { members } });
    const [f, ...more] = of([member('edge-2', 990_000), member('edge-3', 999_000), member('edge-4', undefined)]);
    expect(more).toEqual([]);
    expect(f).toMatchObject({ severity: 'problem', fix: expect.stringContaining('multipath') });
    expect(f.cause).toContain(
      'packets come only to edge-2 (10s ago), edge-3 (1s ago): no packet to it was ever seen here',
    );
    // Here too, or not there either, or worse there: nothing of the kind.
    expect(of([member('edge-2', 990_000)], 999_000)).toEqual([]);
    expect(of([member('edge-2', 990_000, 'degraded')])[0].severity).toBe('note');
    expect(of([member('edge-2', undefined)])[0].cause).toContain('nor at edge-2, which announce it too');
  });

  it('names who else has the address, and is silent on nodes that have it as they should', () => {
    const on = (over: object) => findings({ vips: [vip({ back_end: 'l2', interface: 'eth0', ...over })] });
    expect(on({ announced: false, obstacle: 'edge-2 owns it', holder: 'edge-2' })).toEqual([]);
    const obstacle = 'duplicate address: 02:00:00:00:00:99 has it';
    const [stranger] = on({ announced: false, obstacle, duplicate: { mac: '02:00:00:00:00:99', ago_ms: 2000 } });
    expect(stranger.cause).toMatch(
      /used by somebody else on the LAN: a host at 02:00:00:00:00:99 has it too, last heard 2s ago/,
    );
    const [member] = on({ duplicate: { mac: '02:00:00:00:00:02', node: 'edge-2', ago_ms: 0 } });
    expect(member).toMatchObject({
      cause: expect.stringContaining('edge-2'),
      fix: expect.stringContaining('heartbeats'),
    });
    expect(on({ announced: false, obstacle: 'no interface for it: eth0 is not up' })[0]).toMatchObject({
      cause: expect.stringContaining('is not announced by this node: no interface'),
      fix: expect.stringContaining('bring the interface up'),
    });
  });

  it('VRRP: VRIDs of others, for an address of ours or not, and rivals', () => {
    const foreign = { interface: 'eth0', family: 'ipv4', vrid: 9, source: '192.0.2.7', priority: 100, last_seen: 1 };
    const router = { name: 'vrid-51/ipv4', interface: 'eth0', vrid: 51, priority: 150, rivals: [] as object[] };
    const of = (addresses: string[], rivals: object[] = []) =>
      findings({
        vips: [vip({ back_end: 'vrrp', interface: 'eth0' })],
        vrrp: { routers: [{ ...router, rivals }], foreign: [{ ...foreign, addresses }] },
      });
    expect(of(['192.0.2.200'])).toMatchObject([
      {
        severity: 'note',
        cause: '192.0.2.7 speaks VRRP on eth0 with VRID 9 (ipv4), which is none of this node’s, for 192.0.2.200',
      },
    ]);
    const [rival, shared] = of(['203.0.113.10'], [{ source: '192.0.2.8', priority: 90, last_seen: 1 }]);
    expect(rival).toMatchObject({ severity: 'problem', cause: expect.stringContaining('does not give way') });
    expect(shared).toMatchObject({ severity: 'problem', cause: expect.stringContaining('for our VIP 203.0.113.10') });
  });

  it('a drain at its limit, and answers that get lost', () => {
    const drain = { phase: 'drained', limit_reached: true, silent_ms: 3, sessions: 0, answers_lost: 7 };
    const found = findings({ drain });
    expect(found.map((f) => f.severity)).toEqual(['problem', 'problem']);
    expect(found[1].cause).toContain('7 informs');
    expect(found[1].fix).toContain('loose');
  });

  it('settings of the kernel that lose packets', () => {
    const files: Record<string, string> = {
      '/proc/sys/net/ipv4/conf/all/rp_filter': '0\n',
      '/proc/sys/net/ipv4/conf/eth0/rp_filter': '1\n',
      '/proc/sys/net/ipv4/conf/eth0/arp_ignore': '8\n',
    };
    const kernel = readKernelFacts((p) => files[p], ['eth0']);
    expect(kernel).toEqual({ rpFilter: { eth0: 1 }, arpIgnore: { eth0: 8 } });
    const found = findings({ vips: [vip({ back_end: 'l2', interface: 'eth0' })] }, kernel);
    expect(found.map((f) => [f.severity, /rp_filter|arp_ignore/.exec(f.fix!)?.[0]])).toEqual([
      ['note', 'rp_filter'],
      ['problem', 'arp_ignore'],
    ]);
    expect(findings({ vips: [vip()] }, { rpFilter: {}, arpIgnore: { eth0: 0 } })[0].fix).toContain('arp_ignore=1');
  });
});
