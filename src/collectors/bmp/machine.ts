/**
 * One BMP session, from the station's side (RFC 7854 section 3.3): a table of peers and how to read their messages.
 * Pure: messages and the end of the connection go in, events and refusals come out.
 *
 *   Initiation ─► Peer Up ─► Route Monitoring, Statistics, Mirroring … ─► Peer Down ─► Termination ─► closed
 *
 * A peer is (type, distinguisher, address, BGP identifier); the flags only choose one of its views (RFC 8671).
 */
import { Buffer } from 'node:buffer';
import { decodeBgp, INITIAL_CONTEXT } from '../../codec/bgp/message.ts';
import type { BgpContext, OpenMessage } from '../../codec/bgp/types.ts';
import { monitoringContext, omitsPathIds, withoutPathIds } from '../../codec/bmp/context.ts';
import { decodeBmp, isBareOpen } from '../../codec/bmp/decode.ts';
import { MIRROR_INFO, MIRROR_PDU, mirrorInformation } from '../../codec/bmp/names.ts';
import { peerIdentity, peerKey, type RibView, ribView } from '../../codec/bmp/peer.ts';
import { type BmpMessage, FLAG_F, PEER_LOC_RIB, type PeerHeader, type PeerUp } from '../../codec/bmp/types.ts';
import { octetText } from '../../core/bytes.ts';
import { shortHash } from '../../core/hash.ts';
import { DecodeError, isDecodeError } from '../../core/result.ts';
import type { EventType } from '../../event/types.ts';
import { openCapabilities } from '../../protocol/bgp/open.ts';
import {
  deviceTime,
  errorJson,
  initiationFacts,
  type PeerJson,
  pduFields,
  peerDownFacts,
  peerJson,
  type RouterJson,
  statJson,
  tableFacts,
  terminationFacts,
} from './normalise.ts';

export type BmpInput =
  /** One whole message, as the framer cut it. */
  | { kind: 'message'; bytes: Buffer }
  /** The connection is gone; `reason` is what peers that were up are said to be down for. */
  | { kind: 'closed'; reason: 'session-lost' | 'shutdown' };

export type BmpRefusal = DecodeError['code'] | 'unknown-peer';

export type BmpEffect =
  | {
      kind: 'emit';
      type: EventType;
      keySuffix?: string;
      contentId: string;
      data: object;
    }
  /** The router can now be recognised by more than its address. */
  | { kind: 'identity'; sysName?: string; bgpId?: string }
  | { kind: 'refuse'; code: BmpRefusal; detail: string };

export interface BmpSessionOptions {
  /** The far end of the connection. */
  address: string;
  port: number;
  /** UTC microseconds at which the session was accepted. */
  epoch: number;
  maxPeers: number;
  /** `path_ids` of the configuration. */
  pathIds: 'auto' | 'negotiated' | 'never';
}

/** How one set of flags of a peer is read. */
interface View {
  view: RibView;
  filtered: boolean;
  context: BgpContext;
  /** The beginning of the content hash. */
  seed: Buffer;
}

interface Peer {
  json: PeerJson;
  keySuffix: string;
  sent: OpenMessage | undefined;
  received: OpenMessage | undefined;
  /** By flags. */
  views: Map<number, View>;
}

export class BmpMachine {
  private readonly o: BmpSessionOptions;
  private readonly peers = new Map<string, Peer>();
  private router: RouterJson;
  private sysDescr: string | undefined;
  private began = false;
  private terminated = false;
  private ended = false;

  constructor(o: BmpSessionOptions) {
    this.o = o;
    this.router = { address: o.address };
  }

  /** Peers that are up. */
  get peerCount(): number {
    return this.peers.size;
  }

  get routerName(): string | undefined {
    return this.router.name;
  }

  /** Appends to `out` what follows from the input, in order. */
  handle(input: BmpInput, out: BmpEffect[]): void {
    if (this.ended) return;
    if (input.kind === 'closed') {
      this.close(input.reason, out);
      return;
    }
    const m = decodeBmp(input.bytes);
    if (isDecodeError(m)) {
      out.push({ kind: 'refuse', code: m.code, detail: `${m.layer} at ${m.offset}` });
      return;
    }
    if (m.kind === 'initiation') {
      this.initiation(m.tlvs, out);
      return;
    }
    this.begin(out);
    switch (m.kind) {
      case 'termination': {
        const { reason, info } = terminationFacts(m.tlvs);
        this.terminated = true;
        this.routerEvent('termination', { reason, info: info.length > 0 ? info : undefined }, out);
        return;
      }
      case 'peer-up':
        this.peerUp(m, out);
        return;
      default:
        this.peerMessage(m, out);
    }
  }

  /** The first message makes it a session: a scan of the port is no event. */
  private begin(out: BmpEffect[]): void {
    if (this.began) return;
    this.began = true;
    this.routerEvent('session-up', {}, out, { port: this.o.port });
  }

  private initiation(tlvs: Parameters<typeof initiationFacts>[0], out: BmpEffect[]): void {
    const facts = initiationFacts(tlvs);
    if (facts.sysDescr !== undefined && facts.sysDescr !== this.sysDescr) {
      this.sysDescr = facts.sysDescr;
      for (const p of this.peers.values()) p.views.clear();
    }
    this.identify(facts.sysName, facts.bgpId, out);
    this.begin(out);
    const fields = {
      sys_descr: facts.sysDescr,
      info: facts.info.length > 0 ? facts.info : undefined,
      other: facts.other.length > 0 ? facts.other : undefined,
    };
    this.routerEvent('initiation', fields, out);
  }

  private identify(sysName: string | undefined, bgpId: string | undefined, out: BmpEffect[]): void {
    const name = sysName ?? this.router.name;
    const id = bgpId ?? this.router.bgp_id;
    if (name === this.router.name && id === this.router.bgp_id) return;
    this.router = { address: this.o.address };
    if (name !== undefined) this.router.name = name;
    if (id !== undefined) this.router.bgp_id = id;
    for (const p of this.peers.values()) p.views.clear();
    out.push({ kind: 'identity', sysName: name, bgpId: id });
  }

  private peerUp(m: PeerUp, out: BmpEffect[]): void {
    const key = peerKey(m.peer);
    if (!this.peers.has(key) && this.peers.size >= this.o.maxPeers) {
      out.push({ kind: 'refuse', code: 'limit', detail: `more than ${this.o.maxPeers} peers` });
      return;
    }
    const sent = readOpen(m.sentOpen);
    const received = readOpen(m.receivedOpen);
    const error = isDecodeError(sent) ? sent : isDecodeError(received) ? received : undefined;
    // A router is known by the identifier it presents to its peers; a Loc-RIB's OPENs have it too.
    if (sent && !isDecodeError(sent) && sent.bgpId !== '0.0.0.0') {
      this.identify(undefined, this.router.bgp_id ?? sent.bgpId, out);
    }
    const identity = peerIdentity(m.peer);
    const distinguisher = identity.distinguisher === undefined ? '' : `|${identity.distinguisher}`;
    const peer: Peer = {
      json: peerJson(identity),
      keySuffix: `|${identity.address}${distinguisher}`,
      sent: isDecodeError(sent) ? undefined : sent,
      received: isDecodeError(received) ? undefined : received,
      views: new Map(),
    };
    this.peers.set(key, peer);
    const fields: Record<string, unknown> = {
      state: 'up',
      local: {
        address: m.localAddress,
        port: m.localPort,
        asn: peer.sent?.asn,
        bgp_id: peer.sent?.bgpId,
      },
      remote_port: m.remotePort,
      capabilities: {
        sent: peer.sent && openCapabilities(peer.sent),
        received: peer.received && openCapabilities(peer.received),
      },
      hold_time: peer.sent && peer.received && Math.min(peer.sent.holdTime, peer.received.holdTime),
      ...tableFacts(m.tlvs),
      device_time: deviceTime(m.peer.sec, m.peer.usec),
    };
    if (error) {
      fields.raw = { sent: octetText(m.sentOpen), received: octetText(m.receivedOpen) };
      fields.error = errorJson(error);
      out.push({ kind: 'refuse', code: error.code, detail: `Peer Up of ${identity.address}: ${error.layer}` });
    }
    this.peerEvent(peer, fields, out);
  }

  private peerMessage(
    m: Exclude<BmpMessage, PeerUp | { tlvs: unknown; kind: 'initiation' | 'termination' }>,
    out: BmpEffect[],
  ): void {
    let key = peerKey(m.peer);
    let peer = this.peers.get(key);
    if (!peer) {
      // Some routers say 0 as the BGP identifier in Peer Up and the real one afterwards.
      key = peerKey(m.peer, true);
      peer = this.peers.get(key);
    }
    if (!peer) {
      // FRR says Peer Down after every failed attempt to connect, of a peer that was up before with its identifier: what is not up cannot go down.
      if (m.kind === 'peer-down') return;
      const { address, distinguisher, type } = peerIdentity(m.peer);
      const detail = distinguisher === undefined ? `${type} ${address}` : `${type} ${address} ${distinguisher}`;
      out.push({ kind: 'refuse', code: 'unknown-peer', detail });
      return;
    }
    switch (m.kind) {
      case 'route-monitoring':
        this.update(peer, m.peer, m.pdu, out);
        return;
      case 'peer-down':
        this.peers.delete(key);
        this.peerEvent(
          peer,
          { state: 'down', ...peerDownFacts(m), device_time: deviceTime(m.peer.sec, m.peer.usec) },
          out,
        );
        return;
      case 'stats':
        this.emit('bmp.stats.v1', peer, m.peer, { stats: m.stats.map(statJson) }, out);
        return;
      case 'route-mirroring':
        for (const t of m.tlvs) {
          const pdu = t.type === MIRROR_PDU;
          const fields: Record<string, unknown> = pdu ? this.mirrored(peer, m.peer, t.value) : {};
          if (t.type === MIRROR_INFO && t.value.length === 2)
            fields.information = mirrorInformation(t.value.readUInt16BE(0));
          else if (!pdu) fields.other = { type: t.type, value: octetText(t.value) };
          this.emit('bmp.mirror.v1', peer, m.peer, fields, out);
        }
    }
  }

  /** Mirrored messages may be malformed on purpose: they are always kept raw, and decoded only to say what they are. */
  private mirrored(peer: Peer, header: PeerHeader, pdu: Buffer): Record<string, unknown> {
    const m = decodeBgp(pdu, this.view(peer, header).context);
    const fields: Record<string, unknown> = { raw: octetText(pdu) };
    if (isDecodeError(m)) fields.error = errorJson(m);
    else fields.message = m.kind;
    return fields;
  }

  private update(peer: Peer, header: PeerHeader, pdu: Buffer, out: BmpEffect[]): void {
    const v = this.view(peer, header);
    const fields = pduFields(pdu, v.context);
    const time = deviceTime(header.sec, header.usec);
    const contentId = hashWith(v.seed, pdu);
    for (const f of fields) {
      const data: Record<string, unknown> = { router: this.router, peer: peer.json, view: v.view };
      if (v.filtered) data.filtered = true;
      Object.assign(data, f);
      if (time !== undefined) data.device_time = time;
      data.epoch = this.o.epoch;
      if (f.error)
        out.push({ kind: 'refuse', code: f.error.code as BmpRefusal, detail: `${f.error.layer} at ${f.error.offset}` });
      out.push({
        kind: 'emit',
        type: 'bmp.update.v1',
        keySuffix: peer.keySuffix,
        contentId: f.part ? shortHash(`${contentId}${f.part.index}`) : contentId,
        data,
      });
    }
  }

  private view(peer: Peer, { type, flags }: PeerHeader): View {
    let v = peer.views.get(flags);
    if (!v) {
      const view = ribView(type, flags);
      const agreed = monitoringContext(type, flags, peer.sent, peer.received);
      const context = this.hasPathIds() ? agreed : withoutPathIds(agreed);
      const seed = Buffer.from(JSON.stringify([routerIdentity(this.router), peer.json, view]));
      v = { view, filtered: type === PEER_LOC_RIB && (flags & FLAG_F) !== 0, context, seed };
      peer.views.set(flags, v);
    }
    return v;
  }

  private hasPathIds(): boolean {
    return this.o.pathIds === 'negotiated' || (this.o.pathIds === 'auto' && !omitsPathIds(this.sysDescr));
  }

  private close(reason: string, out: BmpEffect[]): void {
    this.ended = true;
    const why = this.terminated ? 'termination' : reason;
    for (const peer of this.peers.values()) this.peerEvent(peer, { state: 'down', reason: why }, out);
    if (this.began) this.routerEvent('session-down', { reason: why, peers: this.peers.size }, out);
    this.peers.clear();
  }

  /** `facts` are of this reception, not of what the router said. */
  private routerEvent(event: string, fields: object, out: BmpEffect[], facts: object = {}): void {
    const said = { event, ...fields };
    out.push({
      kind: 'emit',
      type: 'bmp.router.v1',
      contentId: shortHash(JSON.stringify([routerIdentity(this.router), said])),
      data: { router: this.router, ...said, ...facts, epoch: this.o.epoch },
    });
  }

  private peerEvent(peer: Peer, fields: object, out: BmpEffect[]): void {
    out.push({
      kind: 'emit',
      type: 'bmp.peer.v1',
      keySuffix: peer.keySuffix,
      contentId: shortHash(JSON.stringify([routerIdentity(this.router), peer.json, fields])),
      data: { router: this.router, peer: peer.json, ...fields, epoch: this.o.epoch },
    });
  }

  private emit(type: EventType, peer: Peer, header: PeerHeader, fields: object, out: BmpEffect[]): void {
    const { view, filtered } = this.view(peer, header);
    out.push({
      kind: 'emit',
      type,
      keySuffix: peer.keySuffix,
      contentId: shortHash(JSON.stringify([routerIdentity(this.router), type, peer.json, view, fields])),
      data: {
        router: this.router,
        peer: peer.json,
        view,
        filtered: filtered || undefined,
        ...fields,
        device_time: deviceTime(header.sec, header.usec),
        epoch: this.o.epoch,
      },
    });
  }
}

/** The same router on two stations: its name where it says one, else its address. */
function routerIdentity(r: RouterJson): string {
  return r.name ?? r.address;
}

/** Undefined: a header alone, in the place of an OPEN that the router has not kept. */
function readOpen(pdu: Buffer): OpenMessage | undefined | DecodeError {
  if (isBareOpen(pdu, 0)) return undefined;
  const m = decodeBgp(pdu, INITIAL_CONTEXT);
  if (isDecodeError(m)) return m;
  return m.kind === 'open' ? m : new DecodeError('tag', 18, 'bgp.header');
}

let scratch = Buffer.allocUnsafe(8192);

/** The hash of both parts in one piece. */
function hashWith(seed: Buffer, pdu: Buffer): string {
  const length = seed.length + pdu.length;
  if (length > scratch.length) scratch = Buffer.allocUnsafe(length * 2);
  seed.copy(scratch);
  pdu.copy(scratch, seed.length);
  return shortHash(scratch.subarray(0, length));
}
