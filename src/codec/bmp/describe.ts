/** For `tidegate decode bmp` and `tidegate send bmp`. */
import { Buffer } from 'node:buffer';
import { isDecodeError } from '../../core/result.ts';
import { type Described, describeBgpMessage, refused } from '../bgp/describe.ts';
import { decodeBgp, INITIAL_CONTEXT } from '../bgp/message.ts';
import { encodeNotification } from '../bgp/notification.ts';
import { encodeOpen } from '../bgp/open.ts';
import type { BgpContext, Capability, OpenMessage } from '../bgp/types.ts';
import { encodeEndOfRib, encodeUpdate } from '../bgp/update.ts';
import { monitoringContext, omitsPathIds, withoutPathIds } from './context.ts';
import { decodeBmp } from './decode.ts';
import { encodeInitiation, encodePeerDown, encodePeerUp, encodeRouteMonitoring, encodeTermination } from './encode.ts';
import { bmpFramer } from './frame.ts';
import { INIT_SYS_DESCR, peerDownReason } from './names.ts';
import { type PeerInput, peerIdentity, peerKey, ribView } from './peer.ts';
import type { BmpMessage, PeerHeader, Tlv } from './types.ts';

const frame = bmpFramer();

interface Opens {
  sent: OpenMessage | undefined;
  received: OpenMessage | undefined;
}

/** What earlier messages decide of later ones. */
interface Session {
  peers: Map<string, Opens>;
  withoutPathIds: boolean;
}

/** Every message of `bytes` in turn, read as one session: a Peer Up decides how the peer's UPDATEs are read. Ends where the framing is lost. */
export function describeBmp(bytes: Buffer): Described[] {
  const session: Session = { peers: new Map(), withoutPathIds: false };
  const out: Described[] = [];
  for (let pos = 0; pos < bytes.length; ) {
    const length = frame(bytes, pos, bytes.length);
    if (isDecodeError(length)) {
      out.push(refused(length, pos));
      break;
    }
    const end = length === 0 || length > bytes.length - pos ? bytes.length : pos + length;
    const message = decodeBmp(bytes.subarray(pos, end));
    out.push(isDecodeError(message) ? refused(message, pos) : { ok: true, message: describe(message, session) });
    pos = end;
  }
  return out;
}

function describe(m: BmpMessage, session: Session): object {
  const { peers } = session;
  if (m.kind === 'initiation') {
    const sysDescr = m.tlvs.find((t) => t.type === INIT_SYS_DESCR)?.value.toString();
    session.withoutPathIds = omitsPathIds(sysDescr);
  }
  if (m.kind === 'initiation' || m.kind === 'termination') return { kind: m.kind, tlvs: m.tlvs.map(tlv) };
  const head = { kind: m.kind, peer: peer(m.peer) };
  switch (m.kind) {
    case 'peer-up': {
      const sent = decodeBgp(m.sentOpen, INITIAL_CONTEXT);
      const received = decodeBgp(m.receivedOpen, INITIAL_CONTEXT);
      peers.set(peerKey(m.peer), { sent: asOpen(sent), received: asOpen(received) });
      return {
        ...head,
        localAddress: m.localAddress,
        localPort: m.localPort,
        remotePort: m.remotePort,
        sentOpen: pdu(m.sentOpen, INITIAL_CONTEXT),
        receivedOpen: pdu(m.receivedOpen, INITIAL_CONTEXT),
        tlvs: m.tlvs.map(tlv),
      };
    }
    case 'peer-down':
      return {
        ...head,
        reason: m.reason,
        reasonName: peerDownReason(m.reason),
        notification: m.notification && pdu(m.notification, INITIAL_CONTEXT),
        fsmEvent: m.fsmEvent,
        tlvs: m.tlvs?.map(tlv),
      };
    case 'stats':
      return { ...head, stats: m.stats };
    case 'route-monitoring': {
      const opens = peers.get(peerKey(m.peer)) ?? peers.get(peerKey(m.peer, true));
      const ctx = monitoringContext(m.peer.type, m.peer.flags, opens?.sent, opens?.received);
      const readAs = session.withoutPathIds ? withoutPathIds(ctx) : ctx;
      return { ...head, view: ribView(m.peer.type, m.peer.flags), pdu: pdu(m.pdu, readAs) };
    }
    case 'route-mirroring':
      return { ...head, tlvs: m.tlvs.map(tlv) };
  }
}

function asOpen(m: ReturnType<typeof decodeBgp>): OpenMessage | undefined {
  return !isDecodeError(m) && m.kind === 'open' ? m : undefined;
}

function pdu(bytes: Buffer, ctx: BgpContext): object {
  const m = decodeBgp(bytes, ctx);
  return isDecodeError(m) ? { raw: bytes.toString('hex'), ...refused(m, 0) } : describeBgpMessage(m);
}

function peer(p: PeerHeader): object {
  return { ...peerIdentity(p), flags: p.flags, sec: p.sec, usec: p.usec };
}

/** Text where it is printable. */
function tlv(t: Tlv): object {
  const hex = t.value.toString('hex');
  const text = t.value.toString('utf8');
  return /^[\x20-\x7e]+$/.test(text) ? { type: t.type, value: hex, text } : { type: t.type, value: hex };
}

/** A whole session for a first try: Initiation, one peer up, one route, End-of-RIB, peer down, Termination. Documentation addresses. */
export function sampleSession(): Buffer {
  const sample: PeerInput = { address: '192.0.2.2', asn: 65001, bgpId: '192.0.2.2' };
  const open = (asn: number, bgpId: string): Buffer => {
    const capabilities: Capability[] = [
      { name: 'multiprotocol', afi: 1, safi: 1 },
      { name: 'route-refresh' },
      { name: 'as4', asn },
    ];
    return encodeOpen({ asn, holdTime: 90, bgpId, capabilities });
  };
  const ctx: BgpContext = { as4: true, addPath: new Set(), extendedMessage: false };
  const update = encodeUpdate(
    {
      announced: [{ prefix: '198.51.100.0/24' }],
      attributes: {
        origin: 'igp',
        asPath: [{ type: 'sequence', asns: [65001, 64500] }],
        nextHop: '192.0.2.2',
        communities: [65001 * 65536 + 100],
      },
    },
    ctx,
  );
  return Buffer.concat([
    encodeInitiation({ sysName: 'tidegate-sample', sysDescr: 'sample session' }),
    encodePeerUp({
      peer: sample,
      localAddress: '192.0.2.1',
      localPort: 179,
      remotePort: 40000,
      sentOpen: open(65000, '192.0.2.1'),
      receivedOpen: open(65001, '192.0.2.2'),
    }),
    encodeRouteMonitoring({ peer: sample, pdu: update }),
    encodeRouteMonitoring({ peer: sample, pdu: encodeEndOfRib('1/1') }),
    encodePeerDown({
      peer: sample,
      reason: 3,
      notification: encodeNotification({ code: 6, subcode: 2, text: 'sample' }),
    }),
    encodeTermination({ reason: 0 }),
  ]);
}
