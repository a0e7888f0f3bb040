/** Notes when a VIP was last sent something, so that a drained node knows when nobody sends to it any more. */
import { Buffer } from 'node:buffer';
import { normaliseIp, parseIp } from '../core/ip.ts';
import type { LbVip } from '../lb/config.ts';
import type { Connection, TcpListener, UdpSocket } from '../net/types.ts';

export type Seen = (vip: string) => void;

/** Which VIP an address belongs to. Changes with the configuration, which is why it is asked and not copied. */
export class VipTable {
  private byText = new Map<string, string>();
  private entries: { bytes: Buffer; vip: string }[] = [];
  private last = Buffer.alloc(0);
  private lastVip: string | undefined;

  constructor(vips: readonly LbVip[]) {
    this.replace(vips);
  }

  replace(vips: readonly LbVip[]): void {
    this.byText = new Map();
    for (const v of vips) for (const a of v.addresses) this.byText.set(textOf(a.split('/')[0]), v.name);
    this.entries = [...this.byText].map(([text, vip]) => ({ bytes: parseIp(text)!, vip }));
    this.last = Buffer.alloc(0);
    this.lastVip = undefined;
  }

  get empty(): boolean {
    return this.entries.length === 0;
  }

  /** By address as text. */
  named(address: string): string | undefined {
    return this.byText.get(textOf(address));
  }

  /** By 4 or 16 bytes. Neighbours in a batch mostly have the same destination, which costs a comparison only. */
  of(address: Buffer): string | undefined {
    if (address.equals(this.last)) return this.lastVip;
    this.last = Buffer.from(address);
    this.lastVip = this.entries.find((e) => e.bytes.equals(address))?.vip;
    return this.lastVip;
  }
}

function textOf(address: string): string {
  return normaliseIp(address) ?? address;
}

/** `vip`: the listener belongs to this one; absent: each datagram is looked at. */
export function watchUdp(socket: UdpSocket, vip: string | undefined, table: VipTable, seen: Seen): void {
  const start = socket.start.bind(socket);
  socket.start = (onBatch, onGivenUp) =>
    start((batch, count) => {
      if (vip !== undefined) {
        if (count > 0) seen(vip);
      } else if (!table.empty) {
        let said: string | undefined;
        for (let i = 0; i < count; i++) {
          const name = table.of(batch[i].destination);
          if (name !== undefined && name !== said) seen((said = name));
        }
      }
      return onBatch(batch, count);
    }, onGivenUp);
}

/** Streams are in use while they deliver. */
export function watchTcp(listener: TcpListener, vip: string | undefined, table: VipTable, seen: Seen): void {
  const start = listener.start.bind(listener);
  listener.start = (onConnection) =>
    start((c: Connection) => {
      onConnection(c);
      const name = vip ?? table.named(c.localAddress);
      if (name === undefined) return;
      seen(name);
      const onData = c.onData;
      c.onData = (chunk) => {
        seen(name);
        onData(chunk);
      };
    });
}
