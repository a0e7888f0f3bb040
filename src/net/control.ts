/** The speaker's sockets by the add-on. Without it there are none, and what needs them says so by name. */
import { Buffer } from 'node:buffer';
import { formatIp, parseIp } from '../core/ip.ts';
import type {
  ControlNet,
  ControlPacket,
  ControlSocket,
  LinkState,
  OpenResult,
  RawOptions,
  UdpControlOptions,
} from './control-types.ts';
import { errnoName, errnoText, META_BYTES, type Native, nativeProblem } from './native.ts';

const SLOTS = 16;
/** Larger packets are cut; none of the speaker's protocols has any, and jumbo frames fit. */
const SLOT_BYTES = 9216 + 320;
const BATCHES_A_TURN = 8;
const RECEIVE_BUFFER = 1024 * 1024;
const PORT_TRIES = 64;
const NOTHING: Buffer = Buffer.alloc(0);

/** Every opening fails, with the reason, where `native` is undefined. */
export function controlNet(native: Native | undefined): ControlNet {
  return native ? new NativeControlNet(native) : new NoControlNet();
}

class NoControlNet implements ControlNet {
  openUdp(): OpenResult {
    return this.missing();
  }
  openRaw(): OpenResult {
    return this.missing();
  }
  openPacket(): OpenResult {
    return this.missing();
  }
  link(): LinkState | undefined {
    return undefined;
  }
  watchLinks(): () => void {
    return () => {};
  }
  private missing(): OpenResult {
    return {
      ok: false,
      code: 'ENOSYS',
      error: `this needs the native add-on: ${nativeProblem() ?? 'it is not loaded'}`,
    };
  }
}

class NativeControlNet implements ControlNet {
  private readonly native: Native;

  constructor(native: Native) {
    this.native = native;
  }

  openUdp(o: UdpControlOptions): OpenResult {
    const address = parseIp(o.address);
    if (!address) return { ok: false, code: 'EINVAL', error: `${o.address} is no address` };
    const { native } = this;
    const family = address.length === 4 ? 4 : 6;
    return this.open(() => {
      const fd = this.bind(o, address);
      if (o.ttl !== undefined) {
        const errno = native.setTtl(fd, family, o.ttl);
        if (errno !== 0) {
          native.closeFd(fd);
          throw Object.assign(new Error(errnoText(errno)), { code: errnoName(errno) });
        }
      }
      return new NativeControlSocket(native, fd, 'udp', family, 0);
    });
  }

  openRaw(o: RawOptions): OpenResult {
    const { native } = this;
    return this.open(() => {
      const groups = Buffer.concat((o.groups ?? []).map((g) => parseIp(g) ?? NOTHING));
      const fd = native.openRaw({ family: o.family, protocol: o.protocol, device: o.device, ttl: o.ttl ?? 0, groups });
      return new NativeControlSocket(native, fd, 'raw', o.family, native.interfaceIndex(o.device));
    });
  }

  openPacket(o: { device: string; etherType: number; icmpTypes?: number[] }): OpenResult {
    const { native } = this;
    return this.open(() => {
      const icmpTypes = o.icmpTypes === undefined ? undefined : Buffer.from(o.icmpTypes);
      const fd = native.openPacket({ device: o.device, etherType: o.etherType, icmpTypes });
      return new NativeControlSocket(native, fd, 'packet', 4, native.interfaceIndex(o.device));
    });
  }

  link(name: string): LinkState | undefined {
    const state = this.native.linkState(name);
    if (!state) return undefined;
    const found = this.native.addressList(state.index);
    const addresses = typeof found === 'number' ? [] : found.map((a) => `${formatIp(a.address)}/${a.length}`);
    return { name, ...state, addresses };
  }

  watchLinks(onChange: () => void): () => void {
    let fd: number;
    try {
      fd = this.native.openLinkEvents();
    } catch {
      return () => {};
    }
    let said = false;
    const socket = new NativeControlSocket(this.native, fd, 'packet', 4, 0);
    socket.onPacket = () => {
      if (said) return;
      said = true;
      setImmediate(() => {
        said = false;
        onChange();
      });
    };
    return () => socket.close();
  }

  /** A port of the range at random, and the next ones where that is taken. */
  private bind(o: UdpControlOptions, address: Buffer): number {
    const options = { address, device: o.device, receiveBuffer: RECEIVE_BUFFER, hops: true };
    if (o.port !== 0 || !o.portRange) return this.native.openUdp({ ...options, port: o.port }).fd;
    const [from, to] = o.portRange;
    const size = to - from + 1;
    const first = Math.floor(Math.random() * size);
    for (let i = 0; ; i++) {
      try {
        return this.native.openUdp({ ...options, port: from + ((first + i) % size) }).fd;
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code !== 'EADDRINUSE' || i === PORT_TRIES) throw e;
      }
    }
  }

  private open(make: () => ControlSocket): OpenResult {
    try {
      return { ok: true, socket: make() };
    } catch (e) {
      const { code, message } = e as NodeJS.ErrnoException;
      const hint = code === 'EPERM' || code === 'EACCES' ? '; this needs CAP_NET_RAW' : '';
      return { ok: false, code: code ?? 'EIO', error: `${message}${hint}` };
    }
  }
}

type Kind = 'udp' | 'raw' | 'packet';

class NativeControlSocket implements ControlSocket {
  readonly port: number;
  onPacket: (p: ControlPacket) => void = () => {};
  onError: (error: string) => void = () => {};
  private readonly native: Native;
  private readonly kind: Kind;
  private readonly family: 4 | 6;
  private readonly ifindex: number;
  private readonly memory: Buffer;
  private readonly meta: Buffer;
  private readonly words: Uint32Array;
  private fd: number;
  private reader: number;

  constructor(native: Native, fd: number, kind: Kind, family: 4 | 6, ifindex: number) {
    this.native = native;
    this.fd = fd;
    this.kind = kind;
    this.family = family;
    this.ifindex = ifindex;
    this.port = kind === 'udp' ? (native.localAddress(fd)?.port ?? 0) : 0;
    this.memory = Buffer.from(new ArrayBuffer(native.keepSize(SLOTS, 1, SLOT_BYTES)));
    this.meta = Buffer.from(new ArrayBuffer(SLOTS * META_BYTES));
    this.words = new Uint32Array(this.meta.buffer);
    this.reader = native.readerStart(fd, this.memory, this.meta, SLOTS, 1, SLOT_BYTES, 0, BATCHES_A_TURN, (n) =>
      this.batch(n),
    );
  }

  send(data: Buffer, address: string, port = 0, source = ''): string | undefined {
    if (this.fd < 0) return 'the socket is closed';
    const { native } = this;
    let errno: number;
    if (this.kind === 'packet') errno = native.packetSend(this.fd, data);
    else {
      const to = parseIp(address);
      const from = source === '' ? NOTHING : parseIp(source);
      if (!to || !from) return `${to ? source : address} is no address`;
      // The scope is only looked at for link-local and multicast addresses.
      errno = native.sendFrom(this.fd, data, to, port, from, to.length === 16 && isScoped(to) ? this.ifindex : 0);
    }
    return errno === 0 ? undefined : `${errnoText(errno)} (${errnoName(errno)})`;
  }

  close(): void {
    if (this.fd < 0) return;
    if (this.reader !== 0) this.native.readerClose(this.reader);
    this.native.closeFd(this.fd);
    this.fd = -1;
    this.reader = 0;
  }

  /** Always true: what was delivered is copied. */
  private batch(count: number): boolean {
    if (count < 0) {
      // Word of changes got lost because there were too many, which is a change as well.
      if (errnoName(count) === 'ENOBUFS') this.onPacket(EMPTY);
      else {
        this.native.readerClose(this.reader);
        this.reader = 0;
        this.onError(`${errnoText(-count)} (${errnoName(count)})`);
      }
      return true;
    }
    for (let i = 0; i < count && this.fd >= 0; i++) {
      const p = this.packet(i);
      if (p) this.onPacket(p);
    }
    return true;
  }

  private packet(i: number): ControlPacket | undefined {
    const w = i * (META_BYTES / 4);
    const at = i * META_BYTES;
    const offset = this.words[w];
    let start = 0;
    const length = this.words[w + 1];
    const lengths = this.words[w + 7];
    if (this.kind === 'raw' && this.family === 4) {
      start = length > 0 ? (this.memory[offset] & 0x0f) * 4 : 0;
      if (start < 20 || start > length) return undefined;
    }
    return {
      data: Buffer.from(this.memory.subarray(offset + start, offset + length)),
      source: text(this.meta.subarray(at + 32, at + 32 + (lengths & 0xff))),
      sourcePort: this.kind === 'udp' ? this.words[w + 2] : 0,
      destination: text(this.meta.subarray(at + 48, at + 48 + ((lengths >>> 8) & 0xff))),
      ttl: this.words[w + 5],
      ifindex: this.words[w + 6] || this.ifindex,
    };
  }
}

const EMPTY: ControlPacket = { data: NOTHING, source: '', sourcePort: 0, destination: '', ttl: 0, ifindex: 0 };

function text(bytes: Buffer): string {
  return bytes.length === 0 ? '' : formatIp(bytes);
}

/** fe80::/10 and ff00::/8. */
function isScoped(a: Buffer): boolean {
  return a[0] === 0xff || (a[0] === 0xfe && (a[1] & 0xc0) === 0x80);
}
