/** `lb status` for people: tables that can be read, times as RFC 3339, nothing as JSON. */
import { expect, it } from 'vitest';
import { lbText } from '../../src/cli/lb-text.ts';
import type { LbView } from '../../src/process/explain-vip.ts';

const NOW = Date.UTC(2026, 0, 1, 12, 0, 0);
const VIEW = {
  decision: { grade: 'degraded', reasons: ['worker 0: kernel-drops', 'drain requested'] },
  draining: true,
  grade_since: NOW - 60_000,
  drain: { phase: 'moving', limit_reached: false, silent_ms: 1200, sessions: 3, answers_lost: 2 },
  router_id: '192.0.2.1',
  listen_problems: ['tcp 192.0.2.1:179 cannot be opened: the port is in use (EADDRINUSE)'],
  vips: [
    {
      ...{
        name: 'ingress',
        address: '203.0.113.10/32',
        mode: 'ecmp',
        preferred: true,
        back_end: 'bgp',
        interface: 'lo',
      },
      ...{ ours: true, last_packet: NOW - 3000, announced: true },
      peers: [
        { peer: '192.0.2.254', announced: true, end_of_rib: true },
        { peer: '192.0.2.253', announced: false, end_of_rib: false, obstacle: 'no IPv4 next hop' },
      ],
    },
    {
      ...{ name: 'lan', address: '192.0.2.100/32', mode: 'owner', preferred: false, back_end: 'l2', ours: false },
      ...{ announced: false, obstacle: 'edge-2 owns it', holder: 'edge-2', peers: [] },
    },
  ],
  peers: [
    {
      ...{ peer: '192.0.2.254', port: 179, asn: 64500, state: 'Established', established_since: NOW - 3_600_000 },
      ...{ dialled_by: 'us', hold_time: 9, md5: true, tcp_ao: false, gtsm: true, end_of_rib: ['1/1', '2/1'] },
      ...{ prefixes_sent: 2, updates_sent: 3, updates_dropped: 0, pending: ['hold_time'] },
      bfd: { state: 'Up', detection_time: 300 },
    },
    {
      ...{ peer: '192.0.2.253', port: 179, asn: 64500, state: 'Idle', md5: false, tcp_ao: false, gtsm: false },
      ...{ end_of_rib: [], prefixes_sent: 0, updates_sent: 0, updates_dropped: 0 },
      last_down: { reason: 'connection closed by the peer', established: false, at: NOW - 1000 },
      last_notification: {
        ...{ code: 6, subcode: 2, name: 'Cease/Administrative Shutdown', text: 'core swap', from: 'peer', hard: true },
        at: NOW - 9000,
      },
    },
  ],
  vrrp: {
    routers: [
      {
        ...{ name: 'vrid-51/ipv4', interface: 'eth0', family: 'ipv4', vrid: 51, version: 3, state: 'Backup' },
        ...{ reason: 'advert of a higher priority', since: NOW - 5000, priority: 100, advert_interval: 200 },
        ...{ active: { address: '192.0.2.3', priority: 150, self: false }, mode: 'multicast', source: '192.0.2.1' },
        vips: [{ address: '192.0.2.100', bound: false }],
        ...{ active_advert_interval: 200, adverts: { sent: 1, received: 9 }, refused: { 'vrrp-ttl': 4 }, rivals: [] },
      },
    ],
    foreign: [
      {
        ...{ interface: 'eth0', family: 'ipv4', vrid: 9, source: '192.0.2.7', priority: 100 },
        ...{ addresses: ['192.0.2.200'], last_seen: NOW - 2000 },
      },
    ],
  },
  l2: {
    node: 'edge-1',
    interfaces: [{ name: 'eth0', up: true }],
    settled: true,
    vips: [
      {
        ...{ vip: 'lan', address: '192.0.2.100', state: 'idle', interface: 'eth0', bound: false, leader: 'edge-2' },
        ...{ holder: 'edge-2', epoch: 1, obstacle: 'edge-2 owns it' },
      },
    ],
  },
  cluster: {
    ...{ node: 'edge-1', listen: '192.0.2.1:11790', settled: true, clock_skew_ms: 12 },
    members: [
      {
        ...{ node: 'edge-2', address: '192.0.2.2:11790', state: 'alive', grade: 'full', weight: 1, hears_us: true },
        ...{ silent_ms: 120, clock_offset_ms: 12, claims: 1, vips: [{ address: '203.0.113.10', state: 'announced' }] },
      },
    ],
  },
  workers: [{ worker: 0, state: 'fresh', age: 90 }],
  priority: 'realtime',
  timer_late: { p999: 0.42, max: 3.1, count: 100 },
} as unknown as LbView;

it('is tables', () => {
  expect(lbText(VIEW, NOW).split('\n')).toEqual([
    'VIP  grade degraded since 2026-01-01T11:59:00.000Z  (draining)',
    '  because worker 0: kernel-drops',
    '  because drain requested',
    '  drain: moving, silent for 1s, 3 sessions, 2 answers lost',
    '  NAME     ADDRESS          BY   ANNOUNCED  ON    MODE   LAST PACKET',
    '  ingress  203.0.113.10/32  bgp  to 1 of 2  lo           2026-01-01T11:59:57.000Z (3s ago)',
    '    - 192.0.2.253: no IPv4 next hop',
    '  lan      192.0.2.100/32   l2   no         none  owner  never',
    '    - edge-2 owns it',
    '',
    'BGP  router id 192.0.2.1',
    '  ! not listening: tcp 192.0.2.1:179 cannot be opened: the port is in use (EADDRINUSE)',
    '  PEER         AS     STATE        SINCE                     BY  HOLD  ROUTES  END-OF-RIB  BFD        GUARD',
    '  192.0.2.254  64500  Established  2026-01-01T11:00:00.000Z  us  9s    2       ipv4,ipv6   Up, 300ms  md5,gtsm',
    '    - from the next session on: hold_time',
    '  192.0.2.253  64500  Idle                                             0',
    '    ! 2026-01-01T11:59:59.000Z connection closed by the peer',
    '    - 2026-01-01T11:59:51.000Z the peer said Cease/Administrative Shutdown (Hard Reset): core swap',
    '',
    'VRRP',
    '  ROUTER        ON    STATE   SINCE                     PRIORITY  ACTIVE           INTERVAL  ADDRESSES',
    '  vrid-51/ipv4  eth0  Backup  2026-01-01T11:59:55.000Z  100       192.0.2.3 (150)  200ms     192.0.2.100 (not here)',
    '    - advert of a higher priority',
    '    - refused vrrp-ttl: 4',
    '  foreign: VRID 9 (ipv4) of 192.0.2.7 on eth0, 192.0.2.200, 2026-01-01T11:59:58.000Z',
    '',
    'LAYER 2  eth0 up',
    '  VIP  ADDRESS      STATE  ON    LEADER  HOLDER',
    '  lan  192.0.2.100  idle   eth0  edge-2  edge-2',
    '    - edge-2 owns it',
    '',
    'CLUSTER  edge-1  listens at 192.0.2.1:11790  clock -12ms from the others’',
    '  NODE    ADDRESS          STATE  GRADE  WEIGHT  HEARS US  HEARD      CLOCK  VIPS',
    '  edge-2  192.0.2.2:11790  alive  full   1       yes       120ms ago  12ms   1 of 1',
    '',
    'SPEAKER  realtime, timers late: p99.9 0.4ms, worst 3.1ms',
    '  leases: 0 fresh 90ms',
  ]);
  expect(lbText(VIEW, NOW)).not.toMatch(/[{}]/);
});

it('says what little is known where the speaker is silent or not there', () => {
  const decision = { grade: 'dead', reasons: ['the speaker ended: exit 1'] };
  expect(lbText({ decision, draining: false, silent: ['speaker'] } as unknown as LbView, NOW).split('\n')).toEqual([
    'VIP  grade dead',
    '  because the speaker ended: exit 1',
    '  the speaker does not answer',
  ]);
});
