/** The two sessions with real bytes: heartbeats and their refusals, clocks, frames on the LAN, interfaces, the end. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clockProblem } from '../../src/cluster/members.ts';
import { encodeHeartbeat } from '../../src/cluster/message.ts';
import { decodeArp } from '../../src/codec/arp/arp.ts';
import { decodeNdp } from '../../src/codec/ndp/ndp.ts';
import { SECRET, VIP4, VIP6, World } from './world.ts';

const frames = (w: World) =>
  w.segment.frames.splice(0).map(({ data }) => {
    const arp = decodeArp(data);
    if (!('code' in arp)) return `${arp.operation} ${arp.senderIp} ${arp.targetIp} ${arp.senderMac}`;
    const ndp = decodeNdp(data);
    if ('code' in ndp) throw new Error(`${ndp.code} ${ndp.layer}`);
    return `${ndp.kind} ${ndp.source} ${ndp.target}`;
  });

describe('heartbeat', () => {
  it('three nodes hear each other, and say who left', async () => {
    const w = new World();
    for (let i = 0; i < 3; i++) w.add();
    w.run(1000);
    for (const n of w.nodes) {
      expect(n.cluster.settled).toBe(true);
      expect(n.cluster.members().map((m) => [m.state, m.hearsUs])).toEqual([
        ['alive', true],
        ['alive', true],
      ]);
      expect(n.metric('tidegate_cluster_members', { state: 'alive' })).toBe(2);
    }
    await w.nodes[2].stop();
    w.run(20);
    expect(w.nodes[0].sessions).toContain('cluster edge-3 up>down');
    expect(w.nodes[0].cluster.status().members.map((m) => m.state)).toEqual(['alive', 'dead']);
  });

  it('what is refused is counted by its reason and raises an alarm where it is proved', () => {
    const w = new World();
    const a = w.add();
    w.add({ cluster: { secret: 'another secret of the tests' } });
    w.add({ site: 'dc2' });
    const stranger = w.segment.host('192.0.2.9');
    w.run(2000);
    const opened = stranger.openUdp({ address: '192.0.2.9', port: 11790 });
    if (!opened.ok) throw new Error(opened.error);
    const beat = { site: 'dc1', node: 'edge-9', grade: 'full', weight: 1, fit: true, leaving: false } as const;
    const rest = { boot: 1, sequence: 1, time: w.clock.wallMs(), heard: [], claims: [] };
    for (const bytes of encodeHeartbeat({ ...beat, ...rest }, SECRET)) opened.socket.send(bytes, '192.0.2.1', 11790);
    opened.socket.send(Buffer.from('hello'), '192.0.2.1', 11790);
    w.run(20);
    const refused = (code: string) => a.metric('tidegate_cluster_refused_total', { code });
    expect(refused('auth')).toBeGreaterThan(5);
    expect(refused('other-site')).toBeGreaterThan(5);
    expect(refused('unknown-member')).toBe(1);
    expect(a.cluster.members().map((m) => m.state)).toEqual(['dead', 'dead']);
    // Once for each sender and reason; who has not the secret raises none.
    expect(a.alarms.filter((t) => t.startsWith('heartbeat'))).toEqual([
      'heartbeat of 192.0.2.3:11790 refused: it belongs to site dc2, this node to dc1',
    ]);
    // All three are on one LAN and want the same address: that is seen too.
    expect(a.alarms.some((t) => t.includes('duplicate address'))).toBe(true);
  });

  it('a recorded heartbeat is of no use later', () => {
    const w = new World();
    const a = w.add();
    const b = w.add();
    w.run(500);
    const [first] = encodeHeartbeat(
      {
        ...{ site: 'dc1', node: 'edge-2', grade: 'full', weight: 1, fit: true, leaving: true },
        boot: b.cluster.self.boot,
        sequence: 1,
        time: w.clock.wallMs(),
        heard: [],
        claims: [],
      },
      SECRET,
    );
    for (const s of b.host.sockets) if (s.key.startsWith('udp')) s.send(first, '192.0.2.1', 11790);
    w.run(20);
    expect(a.metric('tidegate_cluster_refused_total', { code: 'replayed' })).toBe(1);
    expect(a.cluster.members()[0].state).toBe('alive');
  });

  it('a clock that is off is told at the node that has it, and only there; a clock that is set later too', () => {
    const w = new World();
    w.add();
    w.add({ wallOffset: 40_000 });
    w.add();
    w.run(1500);
    const problems = () => w.nodes.map((n) => clockProblem(n.cluster.clockSkew()));
    expect(problems()).toEqual([undefined, "the clock is 40 s ahead of the cluster members' clocks", undefined]);
    expect(w.nodes[1].metric('tidegate_cluster_clock_skew_seconds')).toBeCloseTo(-40, 1);
    let told = 0;
    w.nodes[0].cluster.onChange(() => told++);
    w.nodes[1].wallOffset = 0;
    w.nodes[0].wallOffset = -31_000;
    w.run(500);
    expect(problems()).toEqual(["the clock is 31 s behind the cluster members' clocks", undefined, undefined]);
    expect(told).toBe(1);
  });

  it('a socket that cannot be opened is tried again, and the reason is in the status', () => {
    const w = new World();
    const a = w.add();
    w.run(100);
    for (const s of [...a.host.sockets]) s.onError('the network is gone');
    a.host.refuse = 'not now';
    w.run(2000);
    expect(a.cluster.status().error).toBe('not now');
    a.host.refuse = undefined;
    w.run(1100);
    expect(a.cluster.status().error).toBeUndefined();
    expect([...a.host.sockets].filter((s) => s.key.startsWith('udp'))).toHaveLength(1);
  });
});

describe('layer 2 with frames', () => {
  it('asks before it takes, then announces in both forms, for both families', () => {
    const w = new World();
    w.add({ cluster: { members: [] } });
    w.run(100);
    const mac = '02:00:00:00:00:01';
    const probe = [`request 0.0.0.0 192.0.2.100 ${mac}`, 'solicitation :: 2001:db8::100'];
    const announce = [
      `request 192.0.2.100 192.0.2.100 ${mac}`,
      `reply 192.0.2.100 192.0.2.100 ${mac}`,
      'advertisement fe80::1:1 2001:db8::100',
    ];
    expect(frames(w)).toEqual([...probe, ...probe]);
    w.run(6000);
    expect(frames(w)).toEqual(Array.from({ length: 7 }, () => announce).flat());
    expect(w.nodes[0].metric('tidegate_lb_l2_owner', { vip: 'ingress' })).toBe(1);
    expect(w.nodes[0].metric('tidegate_lb_l2_transitions_total')).toBe(2);
    expect(w.nodes[0].l2.addresses()).toEqual(
      [VIP4, VIP6].map((prefix) => ({ prefix, interface: 'eth0', scope: 'link', lifetime: 5000 })),
    );
  });

  it('a member that only the LAN carries keeps what it has: its process answers for it', () => {
    const w = new World();
    for (let i = 0; i < 3; i++) w.add();
    w.run(2000);
    const [owner, ...more] = w.owners();
    expect(more).toEqual([]);
    w.segment.lost = (_from, _to, kind) => kind === 'udp';
    w.run(8000);
    expect(w.owners()).toEqual([owner]);
    expect(w.owners(VIP6)).toEqual([owner]);
    const others = w.nodes.filter((n) => n !== owner);
    expect(others.some((n) => n.alarms.some((a) => a.includes('heartbeats do not arrive')))).toBe(true);
  });

  it('the interface with a prefix of the VIP, else the first that is up; none: who else has it is said', () => {
    const w = new World();
    const a = w.add({ links: ['eth0', 'eth1'], cluster: { members: [] } });
    a.host.set('eth0', { addresses: ['10.0.0.1/8'] });
    w.run(1000);
    const where = () => a.l2.addresses().map((n) => n.interface);
    expect(where()).toEqual(['eth1', 'eth0']);
    a.host.set('eth1', { up: false });
    w.run(500);
    expect(where()).toEqual(['eth0', 'eth0']);
    a.host.set('eth0', { up: false });
    w.run(500);
    expect(where()).toEqual([]);
    expect(a.l2.facts(VIP4)).toEqual({
      announced: false,
      obstacle: 'no interface for it: eth0 is not up, eth1 is not up',
    });
  });

  it('a grade that falls moves it, all grades that fall leave it', () => {
    const w = new World();
    for (let i = 0; i < 3; i++) w.add();
    w.run(2000);
    const [first] = w.owners();
    first.setGrade('degraded');
    w.run(1000);
    const [second] = w.owners();
    expect(second).not.toBe(first);
    for (const n of w.nodes) n.setGrade('degraded');
    w.run(1000);
    expect(w.owners()).toHaveLength(1);
    for (const n of w.nodes) n.setGrade('dead');
    w.run(1000);
    expect(w.owners()).toEqual([]);
    expect(w.nodes.map((n) => n.l2.facts(VIP4)?.obstacle)).toEqual(Array(3).fill('this node is dead'));
  });

  it('spreads a thousand addresses over the nodes, in claims of several datagrams', () => {
    const w = new World();
    const vips = Array.from({ length: 1000 }, (_, i) => ({
      ...{ name: `vip-${i}`, addresses: [`198.18.${i >> 8}.${i & 255}/32`] },
    }));
    for (let i = 0; i < 3; i++) w.add({ vips });
    w.run(3000);
    const owned = w.nodes.map((n) => n.l2.addresses().length);
    expect(owned.reduce((a, b) => a + b)).toBe(1000);
    for (const n of owned) expect(Math.abs(n - 333)).toBeLessThan(60);
  });

  it('no frame makes it throw or let go', () => {
    const w = new World();
    const a = w.add({ cluster: { members: [] } });
    w.run(1000);
    const b = w.segment.host('192.0.2.50');
    const seen = w.segment.frames.map((f) => f.data);
    const mutated = fc
      .tuple(fc.constantFrom(...seen), fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 5 }))
      .map(([frame, changes]) => {
        const copy = Buffer.from(frame);
        for (const [at, v] of changes) if (at < copy.length) copy[at] = v;
        return copy;
      });
    const any = fc.uint8Array({ maxLength: 120 }).map((x) => Buffer.from(x));
    fc.assert(
      fc.property(fc.oneof(mutated, any), (data) => {
        for (const s of a.host.sockets)
          if (!s.key.startsWith('udp'))
            s.onPacket({ data, source: '', sourcePort: 0, destination: '', ttl: 0, ifindex: b.links.size });
        expect(w.owners()).toEqual([a]);
      }),
      { numRuns: 2000 },
    );
  });

  it('leaves no timer and no socket behind', async () => {
    const w = new World();
    for (let i = 0; i < 3; i++) w.add();
    w.run(2000);
    for (const n of w.nodes) await n.stop();
    w.run(20);
    expect(w.clock.live).toBe(0);
    for (const n of w.nodes) expect(n.host.sockets.size).toBe(0);
  });
});
