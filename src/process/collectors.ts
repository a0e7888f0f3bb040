/** Configuration and sockets → collectors. The only place that knows them all. */

import { BgpCollector } from '../collectors/bgp/collector.ts';
import { BmpCollector } from '../collectors/bmp/collector.ts';
import type { BoundTcp, Collector, CollectorContext } from '../collectors/collector.ts';
import { GnmiCollector } from '../collectors/gnmi/collector.ts';
import { type BoundTrapSocket, SnmpTrapCollector } from '../collectors/snmp-trap/collector.ts';
import type { Meaning } from '../collectors/snmp-trap/meaning.ts';
import type { Config } from '../config/schema.ts';
import { parseIp } from '../core/ip.ts';
import { aclOf, type SourceAcl } from '../core/source-acl.ts';
import { deviceOf } from '../net/device.ts';
import { dialGrpc } from '../net/grpc.ts';
import { loadNative } from '../net/native.ts';
import { openTcpListener } from '../net/tcp.ts';
import type { Connection, TcpListener } from '../net/types.ts';
import { openUdpSocket, type UdpDriver } from '../net/udp.ts';
import type { Listen } from './messages.ts';
import { saltNodeOf } from './salt-node.ts';
import { type Seen, type VipTable, watchTcp, watchUdp } from './vip-seen.ts';

export interface BuildOptions {
  config: Config;
  listens: readonly Listen[];
  context: CollectorContext;
  /** What notifications mean. */
  meaning: Meaning;
  vips: VipTable;
  /** A packet or connection came to a VIP. */
  onPacket: Seen;
}

export interface BuiltCollectors {
  list: Collector[];
  named: [string, Collector][];
  /** Listeners that could not be bound or are not read any more: hard reasons. */
  problems(): string[];
  reconfigure(config: Config): void;
  setMeaning(meaning: Meaning): void;
  /** Our clock against the cluster members', milliseconds. */
  clockSkew(ms: number | undefined): void;
  /** Long-lived sessions, and informs that were repeated after their answer. */
  totals(): { sessions: number; retried: number };
  /** Closes long-lived sessions one after the other over `spreadMs`; they may come back. */
  closeSessions(spreadMs: number): void;
  /** By listener: datagrams the kernel dropped at this worker's socket since it was opened. */
  drops(): number[];
  close(): void;
}

export async function buildCollectors(o: BuildOptions): Promise<BuiltCollectors> {
  const { config, context } = o;
  const native = loadNative();
  const problems: string[] = [];
  const closers: (() => void)[] = [];
  const udp = { snmp_trap: [] as BoundTrapSocket[] };
  const tcp = { bmp: [] as BoundTcp[], bgp: [] as BoundTcp[] };
  const sockets: (UdpDriver | undefined)[] = o.listens.map(() => undefined);
  for (const [i, l] of o.listens.entries()) {
    const opened =
      l.kind === 'udp'
        ? await openUdpSocket(l.spec, { native, clock: context.clock })
        : await openTcpListener(l.spec, { native, clock: context.clock });
    if (!opened.ok) {
      problems.push(`socket not bound: ${opened.problem.text}`);
      continue;
    }
    closers.push(() => opened.value.close());
    const vip = l.vip;
    if (l.kind === 'udp') {
      const socket = opened.value as UdpDriver;
      watchUdp(socket, vip, o.vips, o.onPacket);
      udp.snmp_trap.push({ spec: l.spec, socket, ack: l.ack, acl: l.acl, countedDrops: l.countedDrops });
      sockets[i] = socket;
    } else {
      const listener = opened.value as TcpListener;
      watchTcp(listener, vip, o.vips, o.onPacket);
      const acl = aclOf(l.acl);
      if (acl !== undefined) guardTcp(listener, acl, (c) => refuseSource(l, c));
      tcp[l.collector as 'bmp' | 'bgp'].push({ spec: l.spec, listener });
    }
  }
  function refuseSource(l: Listen, c: Connection): void {
    context.refusals.refuse(l.collector, l.spec.network, c.remoteAddress, 'source-denied');
  }
  const named: [string, Collector][] = [];
  const { snmp_trap, bmp, bgp, gnmi } = config.collectors;
  let snmp: SnmpTrapCollector | undefined;
  if (snmp_trap) {
    snmp = new SnmpTrapCollector(snmp_trap, udp.snmp_trap, context, o.meaning);
    named.push(['snmp_trap', snmp]);
  }
  if (bmp) named.push(['bmp', new BmpCollector(bmp, tcp.bmp, context)]);
  if (bgp) named.push(['bgp', new BgpCollector(context, bgp, tcp.bgp)]);
  if (gnmi)
    named.push([
      'gnmi',
      new GnmiCollector(context, gnmi, (d, clock) =>
        dialGrpc({ ...d, device: deviceOf(o.config.networks, d.network) }, clock),
      ),
    ]);
  return {
    list: named.map((n) => n[1]),
    named,
    problems: () => [
      ...problems,
      ...sockets.flatMap((s) => (s?.failed === undefined ? [] : [`socket not polled: ${s.failed}`])),
    ],
    reconfigure: (next) => {
      o.vips.replace(next.lb.vips);
      if (next.collectors.snmp_trap) snmp?.reconfigure(next.collectors.snmp_trap);
      snmp?.setSaltNode(saltNodeOf(next));
    },
    setMeaning: (meaning) => {
      if (snmp) snmp.meaning = meaning;
    },
    clockSkew: (ms) => snmp?.peerSkew(ms),
    totals: () => ({
      sessions: named.reduce((sum, [, c]) => sum + (c.sessionCount ?? 0), 0),
      retried: snmp?.retriedAfterAnswer ?? 0,
    }),
    closeSessions: (spreadMs) => {
      const all = named.flatMap(([, c]) => c.openSessions?.() ?? []);
      for (const [i, close] of all.entries()) context.clock.setTimeout(close, (spreadMs * i) / all.length);
    },
    drops: () => sockets.map((s) => s?.kernelDrops ?? 0),
    close: () => {
      for (const close of closers) close();
    },
  };
}

/** Closes a connection of a source that may not connect, before anything of it is read. */
function guardTcp(listener: TcpListener, acl: SourceAcl, refused: (c: Connection) => void): void {
  const start = listener.start.bind(listener);
  listener.start = (onConnection) =>
    start((c) => {
      const source = parseIp(c.remoteAddress);
      if (source !== undefined && acl.allows(source)) {
        onConnection(c);
        return;
      }
      refused(c);
      c.destroy();
    });
}
