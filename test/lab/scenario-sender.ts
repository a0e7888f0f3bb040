/**
 * The devices: one process with a socket for each source address, that sends traps and informs to the VIP at a bounded rate. Each has
 * a number of its own, as request-id and in its varbind. An inform that is not answered is sent again, the same octets from the same
 * port, until it is answered or its tries are over; what was answered is recorded. Started by scenario-world.ts.
 */
import type { Buffer } from 'node:buffer';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { decodeEnvelope, decodePdu } from '../../src/codec/snmp/decode.ts';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import { isDecodeError } from '../../src/core/result.ts';
import { answer, scriptConfig } from './scenario-script.ts';

/** The varbind that carries the number; below the enterprise number for documentation (RFC 5612). */
export const NUMBER_OID = '1.3.6.1.4.1.32473.1.1';
export const TRAP_OID = '1.3.6.1.4.1.32473.0.1';

export interface SenderConfig {
  /** Source address and the VIP it sends to. */
  sources: { address: string; target: string }[];
  port: number;
  /** Milliseconds between two tries of an inform, and how many there are. */
  retry: number;
  tries: number;
}

export interface Load {
  /** Notifications a second, over all sources. */
  rate: number;
  /** Not more than so many. */
  max: number;
  /** Each so many-th is an inform, the others are traps. */
  informEvery: number;
  /** Another VIP than the sources have, for this load. */
  vip?: { ipv4: string; ipv6: string };
}

export interface SenderReport {
  /** When the load began, UTC milliseconds. */
  began: number;
  /** Numbers of this load: from `first`, one for each element of the lists. */
  first: number;
  inform: boolean[];
  /** Milliseconds since the load began. */
  sentAt: number[];
  /** Milliseconds from the first try to the Response; -1 where none came, and for traps. */
  acknowledged: number[];
  /** Datagrams sent again, by the number in them. */
  retries: number[];
  /** Responses that came from another address than the one asked, or with an error-status. */
  wrong: number;
}

interface Waiting {
  packet: Buffer;
  source: number;
  at: number;
  next: number;
  tries: number;
}

const TICK_MS = 10;
/** A late tick makes up for no more than so many ticks. */
const BURST_TICKS = 6;

class Sender {
  private readonly config: SenderConfig;
  private readonly sockets: Socket[];
  private readonly waiting = new Map<number, Waiting>();
  private report: SenderReport;
  private load: Load | undefined;
  private vip: Load['vip'];
  private began = 0;
  private sent = 0;
  private next = 1;

  constructor(config: SenderConfig, sockets: Socket[]) {
    this.config = config;
    this.sockets = sockets;
    this.report = this.empty();
    sockets.forEach((s, source) => {
      s.on('message', (data, from) => this.response(data, from.address, source));
      // An unreachable moment of the network is what the retries are for.
      s.on('error', () => {});
    });
    setInterval(() => this.tick(), TICK_MS);
  }

  start(load: Load): void {
    this.report = this.empty();
    this.report.began = Date.now();
    this.load = load;
    this.vip = load.vip;
    this.began = performance.now();
    this.sent = 0;
  }

  progress(): { sent: number; waiting: number } {
    return { sent: this.sent, waiting: this.waiting.size };
  }

  /** No new notification from now on; resolves when every inform is answered or given up. */
  async end(): Promise<SenderReport> {
    this.load = undefined;
    while (this.waiting.size > 0) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    return this.report;
  }

  private empty(): SenderReport {
    return { began: 0, first: this.next, inform: [], sentAt: [], acknowledged: [], retries: [], wrong: 0 };
  }

  private tick(): void {
    const now = performance.now();
    this.retry(now);
    if (!this.load) return;
    const due = Math.min(Math.floor(((now - this.began) * this.load.rate) / 1000), this.load.max);
    for (let i = Math.min(due - this.sent, Math.max(60, (this.load.rate * TICK_MS * BURST_TICKS) / 1000)); i > 0; i--)
      this.one(this.load, now);
  }

  private one(load: Load, now: number): void {
    const number = this.next++;
    const source = number % this.sockets.length;
    const inform = number % load.informEvery === 0;
    const packet = buildTrap({
      version: 'v2c',
      community: 'public',
      trapOid: TRAP_OID,
      uptime: Math.floor(now / 10),
      inform,
      requestId: number,
      varbinds: [{ oid: NUMBER_OID, type: 'unsigned32', value: number }],
    });
    this.sent++;
    this.report.inform.push(inform);
    this.report.sentAt.push(Math.round(now - this.began));
    this.report.acknowledged.push(-1);
    if (inform) this.waiting.set(number, { packet, source, at: now, next: now + this.config.retry, tries: 1 });
    this.send(packet, source);
  }

  private retry(now: number): void {
    for (const [number, w] of this.waiting) {
      if (w.next > now) continue;
      if (w.tries >= this.config.tries) {
        this.waiting.delete(number);
        continue;
      }
      w.tries++;
      w.next = now + this.config.retry;
      this.report.retries.push(number);
      this.send(w.packet, w.source);
    }
  }

  private send(packet: Buffer, source: number): void {
    this.sockets[source].send(packet, this.config.port, this.target(source), () => {});
  }

  private target(source: number): string {
    const { address, target } = this.config.sources[source];
    if (!this.vip) return target;
    return address.includes(':') ? this.vip.ipv6 : this.vip.ipv4;
  }

  private response(data: Buffer, from: string, source: number): void {
    const envelope = decodeEnvelope(data);
    const pdu = isDecodeError(envelope) ? envelope : decodePdu(data, envelope);
    if (isDecodeError(pdu) || pdu.pdu !== 'response') {
      this.report.wrong++;
      return;
    }
    const w = this.waiting.get(pdu.requestId);
    if (from !== this.target(source) || pdu.errorStatus !== 0 || (w && w.source !== source)) {
      this.report.wrong++;
      return;
    }
    // A second Response to a retry is no news.
    if (!w) return;
    this.waiting.delete(pdu.requestId);
    this.report.acknowledged[pdu.requestId - this.report.first] = Math.round(performance.now() - w.at);
  }
}

async function open(address: string): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.bind({ address, port: 0 });
  await once(socket, 'listening');
  return socket;
}

if (import.meta.main) {
  const config = scriptConfig<SenderConfig>();
  const sender = new Sender(config, await Promise.all(config.sources.map((s) => open(s.address))));
  answer({
    start: (q) => sender.start(q.load as Load),
    progress: () => sender.progress(),
    end: () => sender.end(),
  });
}
