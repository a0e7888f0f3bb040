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
    expect(findings({ vips: [vip({ peers })] })[0].cause).toContain(`${PEER}: no IPv4 next hop`);
    expect(findings({ vips: [vip({ last_packet: undefined })] })[0].fix).toContain('maximum-paths');
    expect(findings({ vips: [vip({ last_packet: 1 })] })[0].cause).toContain('five minutes');
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
