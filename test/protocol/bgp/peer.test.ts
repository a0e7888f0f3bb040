/** RFC 9687: a peer that takes nothing while something waits to be sent is given up; one that takes a little is not. */
import { describe, expect, it } from 'vitest';
import { encodeKeepalive, encodeOpen } from '../../../src/codec/bgp/index.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import type { DownFacts } from '../../../src/protocol/bgp/machine.ts';
import { BgpPeer, type ByteStream } from '../../../src/protocol/bgp/peer.ts';

const HOLD_S = 9;
/** Section 4: eight minutes, or twice the hold time where that is more. */
const SEND_HOLD_MS = 480_000;

function rig() {
  const clock = new ManualClock();
  const downs: DownFacts[] = [];
  const sending = { waiting: 0, taken: 0 };
  const written: Buffer[] = [];
  let destroyed = false;
  const stream: ByteStream = {
    write: (b) => void written.push(Buffer.from(b)),
    sending,
    end: () => {},
    destroy: () => {
      destroyed = true;
    },
  };
  const peer = new BgpPeer({
    ...{ clock, role: 'dial', asn: 64512, bgpId: '192.0.2.1', peerAsn: 64500, holdTime: HOLD_S, capabilities: [] },
    ...{ connectRetry: 5000, random: () => 0.5 },
    onEstablished: () => {},
    onDown: (d) => void downs.push(d),
  });
  peer.start();
  peer.attach(stream);
  peer.received(stream, encodeOpen({ asn: 64500, holdTime: HOLD_S, bgpId: '192.0.2.254', capabilities: [] }));
  peer.received(stream, encodeKeepalive());
  expect(peer.machine.state).toBe('Established');
  /** So long, with the peer's KEEPALIVEs coming. */
  const pass = (ms: number, each: () => void = () => {}) => {
    for (let left = ms; left > 0 && peer.machine.state === 'Established'; left -= 1000) {
      clock.advance(1000);
      each();
      peer.received(stream, encodeKeepalive());
    }
  };
  return { clock, peer, downs, sending, pass, written, isDestroyed: () => destroyed };
}

describe('the send hold timer', () => {
  it('ends a session whose peer takes nothing for eight minutes', () => {
    const r = rig();
    r.sending.waiting = 100_000;
    r.pass(SEND_HOLD_MS - 20_000);
    expect(r.peer.machine.state).toBe('Established');
    r.pass(60_000);
    expect(r.peer.machine.state).not.toBe('Established');
    expect(JSON.stringify(r.downs.at(-1))).toMatch(/send hold/i);
  });

  it('leaves one alone that takes a little now and then, or has nothing to take', () => {
    const r = rig();
    r.sending.waiting = 100_000;
    let n = 0;
    r.pass(3 * SEND_HOLD_MS, () => {
      if (++n % 300 === 0) r.sending.taken += 1;
    });
    expect(r.peer.machine.state).toBe('Established');
    r.sending.waiting = 0;
    r.pass(2 * SEND_HOLD_MS);
    expect([r.peer.machine.state, r.downs]).toEqual(['Established', []]);
  });
});
