/** Notes when an address of a VIP was last sent something, so that a drained node knows when nobody sends to it any more. */
import { Buffer } from 'node:buffer';
import { normaliseIp, parseIp } from '../core/ip.ts';
import type { LbVip } from '../lb/config.ts';
import type { Connection, TcpListener, UdpSocket } from '../net/types.ts';

/** `address`: RFC 5952 text. */
export type Seen = (address: string) => void;

/** Which addresses are VIPs. Changes with the configuration, which is why it is asked and not copied. */
export class VipTable {
  private texts = new Set<string>();
  private entries: { bytes: Buffer; text: string }[] = [];
  private last = Buffer.alloc(0);
  private lastText: string | undefined;

  constructor(vips: readonly LbVip[]) {
    this.replace(vips);
  }

  replace(vips: readonly LbVip[]): void {
    this.texts = new Set(vips.flatMap((v) => v.addresses.map((a) => textOf(a.split('/')[0]))));
    this.entries = [...this.texts].map((text) => ({ bytes: parseIp(text)!, text }));
    this.last = Buffer.alloc(0);
    this.lastText = undefined;
  }

  get empty(): boolean {
    return this.entries.length === 0;
  }

  /** `address` where it is one of a VIP. */
  named(address: string): string | undefined {
    const text = textOf(address);
    return this.texts.has(text) ? text : undefined;
  }

  /** By 4 or 16 bytes. Neighbours in a batch mostly have the same destination, which costs a comparison only. */
  of(address: Buffer): string | undefined {
    if (address.equals(this.last)) return this.lastText;
    this.last = Buffer.from(address);
    this.lastText = this.entries.find((e) => e.bytes.equals(address))?.text;
    return this.lastText;
  }
}

function textOf(address: string): string {
  return normaliseIp(address) ?? address;
}

/** A socket that is bound to a VIP has it looked up once a batch, any other one a datagram. */
export function watchUdp(socket: UdpSocket, table: VipTable, seen: Seen): void {
  const start = socket.start.bind(socket);
  const own = textOf(socket.address);
  const wildcard = own === '0.0.0.0' || own === '::';
  socket.start = (onBatch, onGivenUp) =>
    start((batch, count) => {
      if (!wildcard) {
        if (count > 0 && table.named(own) !== undefined) seen(own);
      } else if (!table.empty) {
        let said: string | undefined;
        for (let i = 0; i < count; i++) {
          const address = table.of(batch[i].destination);
          if (address !== undefined && address !== said) seen((said = address));
        }
      }
      return onBatch(batch, count);
    }, onGivenUp);
}

/** Streams are in use while they deliver. */
export function watchTcp(listener: TcpListener, table: VipTable, seen: Seen): void {
  const start = listener.start.bind(listener);
  listener.start = (onConnection) =>
    start((c: Connection) => {
      onConnection(c);
      const address = textOf(c.localAddress);
      const look = (): void => {
        if (table.named(address) !== undefined) seen(address);
      };
      look();
      const onData = c.onData;
      c.onData = (chunk) => {
        look();
        onData(chunk);
      };
    });
}
