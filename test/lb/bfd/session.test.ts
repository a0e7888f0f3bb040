/** BFD sessions on sockets that a test holds: which packets are taken, and which are refused and counted. */
import { describe, expect, it } from 'vitest';
import { type BfdPacket, encodeBfd } from '../../../src/codec/bfd/bfd.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import { silentLog } from '../../../src/core/log.ts';
import { BfdManager, type BfdPeer } from '../../../src/lb/bfd/session.ts';
import type { ControlNet, ControlSocket } from '../../../src/net/control-types.ts';
import { Registry } from '../../../src/telemetry/registry.ts';

const LOCAL = '192.0.2.1';
const PEER = '192.0.2.254';

function rig(over: Partial<BfdPeer> = {}, minTtl = 254) {
  const clock = new ManualClock();
  const metrics = new Registry();
  const sockets: (ControlSocket & { sent: Buffer[]; options: { port: number; ttl?: number } })[] = [];
  const net = {
    openUdp: (options: { port: number; ttl?: number }) => {
      const sent: Buffer[] = [];
      const socket = {
        ...{ port: options.port, options, sent, onPacket: () => {}, onError: () => {}, close: () => {} },
        send: (data: Buffer) => {
          sent.push(Buffer.from(data));
          return undefined;
        },
      };
      sockets.push(socket);
      return { ok: true as const, socket };
    },
  } as unknown as ControlNet;
  const manager = new BfdManager({ clock, log: silentLog, metrics, net, random: () => 1 });
  const states: string[] = [];
  const session = manager.watch({
    ...{ peer: PEER, local: LOCAL, multihop: false },
    config: { interval: 300, multiplier: 3, min_ttl: minTtl, passive: false },
    onState: (to) => void states.push(to),
    ...over,
  });
  const [receiver, sender] = sockets;
  const hear = (packet: Partial<BfdPacket>, ttl = 255, source = PEER) =>
    receiver.onPacket({
      data: encodeBfd({
        ...{ diagnostic: 0, state: 'Down', poll: false, final: false, demand: false, controlPlaneIndependent: false },
        ...{ detectMult: 3, myDiscriminator: 7, yourDiscriminator: 0, desiredMinTx: 300_000, requiredMinRx: 300_000 },
        ...{ requiredMinEchoRx: 0 },
        ...packet,
      } as BfdPacket),
      ...{ source, sourcePort: 50_000, destination: LOCAL, ttl, ifindex: 1 },
    });
  const refused = (code: string) => metrics.handle('tidegate_lb_bfd_refused_total', { code }).value;
  return { clock, session, states, sender, receiver, hear, refused, manager };
}

describe('BFD sessions', () => {
  it('one hop: 255 is sent, and only what has 255 is taken (RFC 5881 section 5)', () => {
    const r = rig();
    expect([r.receiver.options, r.sender.options]).toMatchObject([{ port: 3784, ttl: 255 }, { ttl: 255 }]);
    r.hear({ state: 'Down' }, 254);
    r.hear({ state: 'Down' }, 1);
    expect([r.session.state, r.refused('bfd-ttl'), r.session.status().packets_in]).toEqual(['Down', 2, 0]);
    r.hear({ state: 'Down' });
    expect([r.session.state, r.refused('bfd-ttl')]).toEqual(['Init', 2]);
  });

  it('several hops: port 4784, and the least TTL that is configured', () => {
    const r = rig({ multihop: true }, 250);
    expect(r.receiver.options.port).toBe(4784);
    r.hear({ state: 'Down' }, 249);
    expect([r.session.state, r.refused('bfd-ttl')]).toEqual(['Down', 1]);
    r.hear({ state: 'Down' }, 250);
    expect(r.session.state).toBe('Init');
  });

  it('of nobody who has a session: another source, another discriminator; and what is no BFD', () => {
    const r = rig();
    r.hear({ state: 'Down' }, 255, '192.0.2.7');
    r.hear({ state: 'Up', yourDiscriminator: 12_345 });
    expect(r.refused('bfd-unknown')).toBe(2);
    r.receiver.onPacket({
      ...{ data: Buffer.from('2040'), source: PEER, sourcePort: 1, destination: LOCAL, ttl: 255, ifindex: 1 },
    });
    expect([r.refused('bfd-malformed'), r.session.state, r.states]).toEqual([1, 'Down', []]);
  });

  it('down after the detection time; AdminDown of the other side says nothing about the path', () => {
    const admins: boolean[] = [];
    const r = rig({ onState: (_to, _from, admin) => void admins.push(admin) });
    const up = () => {
      r.hear({ state: 'Down' });
      const ours = r.sender.sent.at(-1)!.readUInt32BE(4);
      r.hear({ state: 'Init', yourDiscriminator: ours });
      expect(r.session.state).toBe('Up');
      return ours;
    };
    up();
    r.clock.advance(2000);
    expect([r.session.state, admins.at(-1)]).toEqual(['Down', false]);
    const ours = up();
    r.hear({ state: 'AdminDown', yourDiscriminator: ours });
    expect([r.session.state, admins.at(-1)]).toEqual(['Down', true]);
  });

  it('says AdminDown when it is stopped, and hears nothing after', () => {
    const r = rig();
    r.session.stop();
    expect(r.sender.sent.at(-1)![1] >> 6).toBe(0);
    r.hear({ state: 'Down' });
    expect(r.refused('bfd-unknown')).toBe(1);
  });
});
