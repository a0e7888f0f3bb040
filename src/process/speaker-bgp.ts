/** What BGP needs of the operating system: listeners with their options, and addresses of interfaces. */
import { networkInterfaces } from 'node:os';
import type { Clock, TimerHandle } from '../core/clock.ts';
import { parseEndpoint, parseIp } from '../core/ip.ts';
import type { BgpBackEndOptions, BgpListeners } from '../lb/bgp/back-end.ts';
import type { BgpConfig } from '../lb/bgp/config.ts';
import type { Native } from '../net/native.ts';
import { openTcpListener, setAoKey, tcpAoProblem } from '../net/tcp.ts';
import type { Connection, TcpListener } from '../net/types.ts';

type Edges = Pick<BgpBackEndOptions, 'listen' | 'addressOf' | 'deviceOf'>;

/** `networks`: those of the configuration. */
export function bgpEdges(
  native: Native | undefined,
  networks: Readonly<Record<string, { device?: string }>>,
  clock: Clock,
): Edges {
  return {
    listen: (bgp, accept) => listen(native, clock, bgp, accept),
    addressOf: interfaceAddress,
    deviceOf: (network) => networks[network]?.device,
  };
}

/** The first address of an interface in a family that is good beyond its link. */
export function interfaceAddress(iface: string, family: 4 | 6): string | undefined {
  const all = networkInterfaces()[iface] ?? [];
  return all.find((a) => a.family === `IPv${family}` && !/^fe[89ab]/i.test(a.address))?.address;
}

const RETRY_MS = 1000;

function listen(
  native: Native | undefined,
  clock: Clock,
  bgp: BgpConfig,
  accept: (c: Connection) => void,
): BgpListeners {
  const all = bgp.listen.map((text) => new Listener(text, native, clock, bgp, accept));
  return {
    get problems() {
      return all.map((l) => l.problem).filter((p) => p !== undefined);
    },
    close() {
      for (const l of all) l.close();
    },
  };
}

/** One of lb.bgp.listen: it is tried until it is open. */
class Listener {
  problem: string | undefined;
  private readonly text: string;
  private readonly native: Native | undefined;
  private readonly clock: Clock;
  private readonly bgp: BgpConfig;
  private readonly accept: (c: Connection) => void;
  private open: TcpListener | undefined;
  private timer: TimerHandle | undefined;
  private closed = false;

  constructor(text: string, native: Native | undefined, clock: Clock, bgp: BgpConfig, accept: (c: Connection) => void) {
    this.text = text;
    this.native = native;
    this.clock = clock;
    this.bgp = bgp;
    this.accept = accept;
    const guarded = bgp.peers.some((p) => (p.password ?? p.tcp_ao) !== undefined || p.gtsm !== false);
    if (native === undefined && guarded) this.problem = `${text}: passwords, tcp_ao and gtsm need the native add-on`;
    else void this.try();
  }

  close(): void {
    this.closed = true;
    if (this.timer) this.clock.clearTimeout(this.timer);
    this.open?.close();
  }

  private async try(): Promise<void> {
    const { native, bgp } = this;
    const { address, port } = parseEndpoint(this.text)!;
    const prepare = (fd: number) => protect(native!, fd, bgp, address.includes(':') ? 6 : 4);
    const r = await openTcpListener({ network: 'default', address, port, freebind: true }, { native, prepare });
    if (this.closed) {
      if (r.ok) r.value.close();
      return;
    }
    if (r.ok) {
      this.problem = undefined;
      this.open = r.value;
      r.value.start(this.accept);
      return;
    }
    const ao = bgp.peers.some((p) => p.tcp_ao !== undefined) ? tcpAoProblem(native) : undefined;
    this.problem = ao === undefined ? r.problem.text : `${this.text}: ${ao}`;
    this.timer = this.clock.setTimeout(() => void this.try(), RETRY_MS);
  }
}

/**
 * The password of each peer; and where one of them has gtsm what is sent has the TTL it asks for, from the SYN on. A listener has one least TTL
 * for all of its peers: it is set where all have gtsm, else with each connection (BgpSession.accept).
 */
function protect(native: Native, fd: number, bgp: BgpConfig, family: 4 | 6): number {
  const peers = bgp.peers.filter((p) => p.address.includes(':') === (family === 6));
  for (const p of peers) {
    const peer = parseIp(p.address)!;
    const errno =
      (p.password === undefined ? 0 : native.setMd5(fd, peer, peer.length * 8, Buffer.from(p.password))) ||
      (p.tcp_ao === undefined ? 0 : setAoKey(native, fd, p.address, p.tcp_ao));
    if (errno !== 0) return errno;
  }
  const hops = peers.map((p) => (p.gtsm === true ? 1 : p.gtsm));
  if (hops.every((h) => h === false)) return 0;
  const errno = native.setTtl(fd, family, 255);
  if (errno !== 0 || hops.includes(false)) return errno;
  return native.setMinTtl(fd, family, 256 - Math.max(...(hops as number[])));
}
