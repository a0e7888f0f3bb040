/** What BGP needs of the operating system: listeners with their options, addresses of interfaces, and whether the speaker died before. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { parseEndpoint, parseIp } from '../core/ip.ts';
import type { BgpBackEndOptions, BgpListeners } from '../lb/bgp/back-end.ts';
import type { BgpConfig } from '../lb/bgp/config.ts';
import type { Native } from '../net/native.ts';
import { openTcpListener, setAoKey, tcpAoProblem } from '../net/tcp.ts';
import type { Connection, TcpListener } from '../net/types.ts';

/** There while a speaker runs; removed at an ordered end. Relative to data_dir. */
const RUNNING = 'speaker-runs';

type Edges = Pick<BgpBackEndOptions, 'listen' | 'addressOf' | 'deviceOf' | 'restarted'>;

/** `networks`: those of the configuration. `restarts`: graceful restart is configured, so that a death is to be noticed. */
export function bgpEdges(
  native: Native | undefined,
  networks: Readonly<Record<string, { device?: string }>>,
  restarts: boolean,
): Edges {
  const died = restarts && existsSync(RUNNING);
  noteRun(restarts);
  return {
    listen: (bgp, accept) => listen(native, bgp, accept),
    addressOf: interfaceAddress,
    deviceOf: (network) => networks[network]?.device,
    restarted: () => died,
  };
}

/** A speaker runs; without graceful restart nobody has to know. */
export function noteRun(restarts: boolean): void {
  if (restarts) writeFileSync(RUNNING, '');
  else forgetRun();
}

export function forgetRun(): void {
  rmSync(RUNNING, { force: true });
}

/** The first address of an interface in a family that is good beyond its link. */
function interfaceAddress(iface: string, family: 4 | 6): string | undefined {
  const all = networkInterfaces()[iface] ?? [];
  return all.find((a) => a.family === `IPv${family}` && !/^fe[89ab]/i.test(a.address))?.address;
}

function listen(native: Native | undefined, bgp: BgpConfig, accept: (c: Connection) => void): BgpListeners {
  const open: TcpListener[] = [];
  const problems: string[] = [];
  let closed = false;
  for (const text of bgp.listen) {
    const { address, port } = parseEndpoint(text)!;
    const prepare = (fd: number) => protect(native!, fd, bgp, address.includes(':') ? 6 : 4);
    const missing =
      native === undefined && bgp.peers.some((p) => (p.password ?? p.tcp_ao) !== undefined || p.gtsm !== false);
    if (missing) {
      problems.push(`${text}: passwords, tcp_ao and gtsm need the native add-on`);
      continue;
    }
    void openTcpListener({ network: 'default', address, port, freebind: true }, { native, prepare }).then((r) => {
      if (!r.ok) {
        const ao = bgp.peers.some((p) => p.tcp_ao !== undefined) ? tcpAoProblem(native) : undefined;
        problems.push(ao === undefined ? r.problem.text : `${text}: ${ao}`);
        return;
      }
      if (closed) {
        r.value.close();
        return;
      }
      open.push(r.value);
      r.value.start(accept);
    });
  }
  return {
    problems,
    close() {
      closed = true;
      for (const l of open) l.close();
    },
  };
}

/** The password of each peer; and the least TTL, which a listener can only have for all of its peers. */
function protect(native: Native, fd: number, bgp: BgpConfig, family: 4 | 6): number {
  for (const p of bgp.peers) {
    if (p.address.includes(':') !== (family === 6)) continue;
    const peer = parseIp(p.address)!;
    const errno =
      (p.password === undefined ? 0 : native.setMd5(fd, peer, peer.length * 8, Buffer.from(p.password))) ||
      (p.tcp_ao === undefined ? 0 : setAoKey(native, fd, p.address, p.tcp_ao));
    if (errno !== 0) return errno;
  }
  const hops = bgp.peers.map((p) => (p.gtsm === true ? 1 : p.gtsm));
  if (hops.length === 0 || hops.includes(false)) return 0;
  return native.setTtl(fd, family, 255) || native.setMinTtl(fd, family, 256 - Math.max(...(hops as number[])));
}
