/**
 * Datagrams to a far end that answers nothing, and all the network has to say of them: that nobody listens on the port, that there is no
 * way to the host, that nobody on the link has its address (ICMP; RFC 1122 section 4.1.3.3). Nobody reads this socket, so it is asked.
 */
import { Buffer } from 'node:buffer';
import { parseIp } from '../core/ip.ts';
import { errnoName, errnoText, type Native } from './native.ts';
import type { DatagramSender } from './types.ts';

/** Between two looks for errors. */
const LOOK_MS = 200;
/** Between two tries where the kernel has no room: a neighbour is asked for, or the link is slow. */
const AGAIN_MS = 10;
const MAX_QUEUED = 1024;
const EAGAIN = new Set(['EAGAIN', 'ENOBUFS', 'ENOMEM']);
const ANY = Buffer.alloc(0);

export class OneWaySender implements DatagramSender {
  onMessage: (data: Buffer) => void = () => {};
  onError: (error: string) => void = () => {};
  private readonly native: Native;
  private readonly address: Buffer;
  private readonly port: number;
  /** Of a link-local address. */
  private readonly zone: string | undefined;
  private readonly device: string | undefined;
  private fd = -1;
  private queued: Buffer[] = [];
  private again: NodeJS.Timeout | undefined;
  private readonly looking: NodeJS.Timeout;
  private closed = false;

  /** `address`: text, with `%eth0` where it is link-local. */
  constructor(native: Native, address: string, port: number, device: string | undefined) {
    this.native = native;
    this.address = parseIp(address) ?? ANY;
    this.zone = address.split('%')[1];
    this.port = port;
    this.device = device;
    this.looking = setInterval(() => this.look(), LOOK_MS);
    this.looking.unref();
  }

  send(data: Buffer): void {
    if (this.closed) return;
    if (this.queued.length === 0 && this.put(data)) return;
    if (this.queued.length < MAX_QUEUED) this.queued.push(data);
    else this.failed('the kernel has no room for more');
    this.again ??= setTimeout(() => this.flush(), AGAIN_MS);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.looking);
    clearTimeout(this.again);
    if (this.fd >= 0) this.native.closeFd(this.fd);
  }

  /** False: there is no room now. */
  private put(data: Buffer): boolean {
    if (this.fd < 0 && !this.open()) return true;
    const { native, zone } = this;
    const scope = zone === undefined ? 0 : native.interfaceIndex(zone);
    const errno = native.sendFrom(this.fd, data, this.address, this.port, ANY, scope);
    if (errno === 0) return true;
    if (EAGAIN.has(errnoName(errno))) return false;
    // Often the error of an earlier one, which the socket tells now; this one is not sent.
    const more = this.native.takeErrors(this.fd);
    this.failed(describe('send', more || errno));
    return true;
  }

  private open(): boolean {
    try {
      this.fd = this.native.openUdp({ address: Buffer.alloc(this.address.length), port: 0, device: this.device }).fd;
      this.native.heedErrors(this.fd, this.address.length === 16 ? 6 : 4);
      return true;
    } catch (error) {
      this.failed(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  private flush(): void {
    this.again = undefined;
    let n = 0;
    while (n < this.queued.length && this.put(this.queued[n])) n++;
    // What has failed meanwhile has emptied the queue.
    if (this.queued.length > 0) this.queued = this.queued.slice(n);
    if (this.queued.length > 0) this.again = setTimeout(() => this.flush(), AGAIN_MS);
  }

  private look(): void {
    if (this.fd < 0) return;
    const errno = this.native.takeErrors(this.fd);
    if (errno !== 0) this.failed(describe('recvmsg', errno));
  }

  private failed(error: string): void {
    // What waits would not arrive either; who sends it is told, and sends it again.
    this.queued = [];
    setImmediate(() => {
      if (!this.closed) this.onError(error);
    });
  }
}

function describe(call: string, errno: number): string {
  return `${call} ${errnoName(errno)}: ${errnoText(errno)}`;
}
