import { formatEndpoint } from '../core/ip.ts';
import { errnoText } from './native.ts';
import type { ListenSpec } from './types.ts';

/** Why a socket could not be opened, for people: `${what}: ${text}; ${fix}`. */
export interface NetProblem {
  kind: 'udp' | 'tcp';
  address: string;
  port: number;
  /** `EADDRINUSE`, `EACCES`, …, or `UNSUPPORTED` where the driver lacks what was asked. */
  code: string;
  text: string;
  /** What to do about it. */
  fix: string;
}

/** What an opener answers. */
export type Opening<T> = { ok: true; value: T } | { ok: false; problem: NetProblem };

/** The problem behind an error that an opener of the add-on or of Node gave. */
export function describeProblem(kind: 'udp' | 'tcp', spec: ListenSpec, error: unknown): NetProblem {
  const e = error as { code?: string; message?: string };
  const code = typeof e.code === 'string' ? e.code : 'UNKNOWN';
  return {
    kind,
    address: spec.address,
    port: spec.port,
    code,
    text: `${kind} ${formatEndpoint(spec.address, spec.port)} cannot be opened: ${REASONS[code] ?? e.message ?? code} (${code})`,
    fix: fixFor(code, kind, spec),
  };
}

const REASONS: Record<string, string> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'the address is on no interface of this machine',
  ENODEV: 'there is no such interface',
  EAFNOSUPPORT: 'the kernel does not speak this address family',
  EMFILE: 'too many open files',
  EINVAL: 'this is no address that can be bound',
};

function fixFor(code: string, kind: 'udp' | 'tcp', spec: ListenSpec): string {
  switch (code) {
    case 'EACCES':
      return spec.port > 0 && spec.port < 1024
        ? `ports below 1024 need root, CAP_NET_BIND_SERVICE or sysctl net.ipv4.ip_unprivileged_port_start=${spec.port}`
        : 'start as root, or allow it in the security policy of this machine';
    case 'EPERM':
      return spec.device ? 'binding to a device needs root or CAP_NET_RAW' : 'start as root';
    case 'EADDRINUSE':
      return `find the holder with: ss -${kind === 'udp' ? 'u' : 't'}lnp 'sport = :${spec.port}'; stop it, or choose another port`;
    case 'EADDRNOTAVAIL':
      return 'name the address as a VIP (then it may come later), or listen on an address that `ip addr` shows';
    case 'ENODEV':
      return `create the interface ${spec.device ?? ''} first, or correct \`networks\``;
    case 'EAFNOSUPPORT':
      return 'enable IPv6 in the kernel (sysctl net.ipv6.conf.all.disable_ipv6=0), or listen on IPv4';
    case 'EMFILE':
      return 'raise the limit of open files (ulimit -n, LimitNOFILE=)';
    default:
      return 'correct `listen`';
  }
}

/** `ECONNREFUSED: connection refused`: an error of Node's sockets as text, without the object. */
export function errorText(error: unknown): string {
  const e = error as { code?: string; errno?: number; message?: string };
  if (typeof e.errno === 'number' && typeof e.code === 'string') return `${e.code}: ${errnoText(e.errno)}`;
  return e.message ?? String(error);
}
