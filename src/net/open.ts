import { Buffer } from 'node:buffer';
import { parseIp } from '../core/ip.ts';
import { errnoName, type Native, type Opened } from './native.ts';
import { describeProblem, type NetProblem } from './problem.ts';
import type { ListenSpec } from './types.ts';
import { openKeep, RECEIVE_BUFFER } from './udp.ts';

export interface OpenRequest {
  kind: 'udp' | 'tcp';
  spec: ListenSpec;
}

/** One listener of all workers: `fds[i]` is worker i's. Without the add-on `fds` is empty and the worker binds `spec` itself. */
export interface SocketGroup {
  kind: 'udp' | 'tcp';
  /** With the real port where 0 was asked. */
  spec: ListenSpec;
  fds: number[];
  /** By worker: the memory its reader of this listener receives into (UDP), which outlives it. */
  keeps: number[];
  /** Bytes of receive buffer a socket, as the kernel counts (twice what was granted). */
  receiveBuffer: number;
}

export interface OpenSocketsResult {
  groups: SocketGroup[];
  /** What could not be opened; the other listeners are open. */
  problems: NetProblem[];
}

/** Between the probe that finds a free port and the group that takes it, another process may take it first. */
const PORT_ATTEMPTS = 8;

/**
 * The supervisor's side: for every listener one socket a worker, opened, steered by source address, and read by nobody. A port that
 * any other socket holds is refused, also where that one would share it (a worker left over from an earlier run would go on taking
 * its part of the traffic).
 */
export function openSockets(
  requests: readonly OpenRequest[],
  workers: number,
  native: Native | undefined,
): OpenSocketsResult {
  const result: OpenSocketsResult = { groups: [], problems: [] };
  for (const { kind, spec } of requests) {
    if (!native) {
      result.groups.push({ kind, spec: { ...spec }, fds: [], keeps: [], receiveBuffer: 0 });
      continue;
    }
    const group = openGroup(native, kind, spec, workers);
    if ('fds' in group) result.groups.push(group);
    else result.problems.push(group);
  }
  return result;
}

/** Closes the supervisor's descriptors; a worker's own copies stay open until it closes them or ends. */
export function closeSockets(groups: readonly SocketGroup[], native: Native | undefined): void {
  for (const group of groups) {
    for (const fd of [...group.fds, ...group.keeps]) native?.closeFd(fd);
    group.fds.length = 0;
    group.keeps.length = 0;
  }
}

/** Datagrams dropped at all sockets of a group since they were opened: survives the workers. */
export function groupDrops(group: SocketGroup, native: Native): number {
  let sum = 0;
  for (const fd of group.fds) sum += Math.max(0, native.socketDrops(fd));
  return sum;
}

function openGroup(native: Native, kind: 'udp' | 'tcp', spec: ListenSpec, workers: number): SocketGroup | NetProblem {
  const fds: number[] = [];
  const keeps: number[] = [];
  for (let attempt = 1; ; attempt++) {
    try {
      const base = {
        address: parseIp(spec.address) ?? Buffer.alloc(0),
        device: spec.device,
        freebind: spec.freebind,
      };
      const open = (port: number, more: object): Opened =>
        kind === 'udp' ? native.openUdp({ ...base, port, ...more }) : native.openTcp({ ...base, port, ...more });
      const probe = open(spec.port, { backlog: 0 });
      native.closeFd(probe.fd);
      let receiveBuffer = 0;
      for (let i = 0; i < workers; i++) {
        const opened = open(probe.port, { reusePort: true, receiveBuffer: kind === 'udp' ? RECEIVE_BUFFER : 0 });
        fds.push(opened.fd);
        receiveBuffer = opened.receiveBuffer;
        if (kind === 'udp') keeps.push(openKeep(native));
      }
      if (workers > 1) {
        // Sockets are numbered in the order in which they joined the group: worker i is socket i.
        const errno = native.attachReuseportCbpf(fds[0], workers, base.address.length === 16 ? 6 : 4);
        if (errno !== 0) {
          const code = errnoName(errno);
          throw Object.assign(new Error('sources cannot be steered to workers'), { code });
        }
      }
      return { kind, spec: { ...spec, port: probe.port }, fds, keeps, receiveBuffer };
    } catch (error) {
      for (const fd of [...fds, ...keeps]) native.closeFd(fd);
      fds.length = 0;
      keeps.length = 0;
      const taken = (error as { code?: string }).code === 'EADDRINUSE';
      if (!taken || spec.port !== 0 || attempt === PORT_ATTEMPTS) return describeProblem(kind, spec, error);
    }
  }
}
