/** Configuration and sockets → collectors. The only place that knows them all. */

import { BgpCollector } from '../collectors/bgp/collector.ts';
import { BmpCollector } from '../collectors/bmp/collector.ts';
import type { BoundTcp, Collector, CollectorContext } from '../collectors/collector.ts';
import { GnmiCollector } from '../collectors/gnmi/collector.ts';
import { SnmpTrapCollector } from '../collectors/snmp-trap/collector.ts';
import type { BoundTrapSocket } from '../collectors/snmp-trap/listener.ts';
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
  /** Listeners of the start that could not be bound, and sockets that are not read any more: hard reasons. */
  problems(): string[];
  reconfigure(config: Config): void;
  /** One more listener, read at once where the others are; returns why it cannot be opened. */
  listen(l: Listen): Promise<string | undefined>;
  /** No more of it: what the kernel holds is read, its connections are reset. */
  unlisten(key: string): Promise<void>;
  /** Other settings of a listener whose socket stays. */
  adjust(l: Listen): void;
  /** Keys of the listeners that are open. */
  listening(): string[];
  setMeaning(meaning: Meaning): void;
  /** Our clock against the cluster members', milliseconds. */
  clockSkew(ms: number | undefined): void;
  /** Long-lived sessions, and informs that were repeated after their answer. */
  totals(): { sessions: number; retried: number };
  /** Closes long-lived sessions one after the other over `spreadMs`; they may come back. */
  closeSessions(spreadMs: number): void;
  /** By key of the listener: datagrams the kernel dropped at this worker's socket since it was opened. */
  drops(): Record<string, number>;
  close(): void;
}

/** A listener with its socket. */
interface OpenListener {
  listen: Listen;
  acl: SourceAcl | undefined;
  udp?: UdpDriver;
  tcp?: TcpListener;
  connections: Set<Connection>;
}

export async function buildCollectors(o: BuildOptions): Promise<BuiltCollectors> {
  const { config, context } = o;
  const native = loadNative();
  const problems: string[] = [];
  const open = new Map<string, OpenListener>();
  const bind = async (l: Listen): Promise<OpenListener | string> => {
    const entry: OpenListener = { listen: l, acl: aclOf(l.acl), connections: new Set() };
    const options = { native, clock: context.clock };
    if (l.kind === 'udp') {
      const opened = await openUdpSocket(l.spec, options);
      if (!opened.ok) return opened.problem.text;
      entry.udp = opened.value;
      watchUdp(entry.udp, o.vips, o.onPacket);
    } else {
      const opened = await openTcpListener(l.spec, options);
      if (!opened.ok) return opened.problem.text;
      entry.tcp = opened.value;
      watchTcp(entry.tcp, o.vips, o.onPacket);
      guardTcp(entry, (c) => context.refusals.refuse(l.collector, l.spec.network, c.remoteAddress, 'source-denied'));
    }
    open.set(l.key, entry);
    return entry;
  };
  const trap = ({ listen: l, udp }: OpenListener): BoundTrapSocket => ({
    ...{ spec: l.spec, socket: udp!, ack: l.ack, acl: l.acl, countedDrops: l.countedDrops },
  });
  const stream = ({ listen: l, tcp }: OpenListener): BoundTcp => ({ spec: l.spec, listener: tcp! });
  for (const l of o.listens) {
    const bound = await bind(l);
    if (typeof bound === 'string') problems.push(`socket not bound: ${bound}`);
  }
  const of = (collector: Listen['collector']) => [...open.values()].filter((e) => e.listen.collector === collector);
  const named: [string, Collector][] = [];
  const { snmp_trap, bmp: bmpConfig, bgp: bgpConfig, gnmi } = config.collectors;
  const snmp = snmp_trap && new SnmpTrapCollector(snmp_trap, of('snmp_trap').map(trap), context, o.meaning);
  const bmp = bmpConfig && new BmpCollector(bmpConfig, of('bmp').map(stream), context);
  const bgp = bgpConfig && new BgpCollector(context, bgpConfig, of('bgp').map(stream));
  if (snmp) named.push(['snmp_trap', snmp]);
  if (bmp) named.push(['bmp', bmp]);
  if (bgp) named.push(['bgp', bgp]);
  if (gnmi)
    named.push([
      'gnmi',
      new GnmiCollector(context, gnmi, (d, clock) =>
        dialGrpc({ ...d, device: deviceOf(o.config.networks, d.network) }, clock),
      ),
    ]);
  const streams = { bmp, bgp };
  return {
    list: named.map((n) => n[1]),
    named,
    problems: () => [
      ...problems,
      ...[...open.values()].flatMap((e) => (e.udp?.failed === undefined ? [] : [`socket not polled: ${e.udp.failed}`])),
    ],
    reconfigure: (next) => {
      o.vips.replace(next.lb.vips);
      if (next.collectors.snmp_trap) snmp?.reconfigure(next.collectors.snmp_trap);
      snmp?.setSaltNode(saltNodeOf(next));
    },
    listen: async (l) => {
      const bound = await bind(l);
      if (typeof bound === 'string') return bound;
      if (l.collector === 'snmp_trap') snmp?.listen(trap(bound));
      else streams[l.collector]?.listen(stream(bound));
      return undefined;
    },
    unlisten: async (key) => {
      const entry = open.get(key);
      if (!entry) return;
      open.delete(key);
      if (entry.udp) await snmp?.unlisten(entry.udp);
      if (entry.tcp) streams[entry.listen.collector as 'bmp' | 'bgp']?.unlisten(entry.tcp);
      // The far end dials again, wherever its address is now.
      for (const c of entry.connections) c.destroy();
    },
    adjust: (l) => {
      const entry = open.get(l.key);
      if (!entry) return;
      entry.acl = aclOf(l.acl);
      if (entry.udp) snmp?.adjust(entry.udp, l.ack, l.acl);
    },
    listening: () => [...open.keys()],
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
    drops: () => {
      const out: Record<string, number> = {};
      for (const [key, e] of open) if (e.udp) out[key] = e.udp.kernelDrops;
      return out;
    },
    close: () => {
      for (const e of open.values()) (e.udp ?? e.tcp)?.close();
    },
  };
}

/** Closes a connection of a source that may not connect, before anything of it is read; remembers the others. */
function guardTcp(entry: OpenListener, refused: (c: Connection) => void): void {
  const listener = entry.tcp!;
  const start = listener.start.bind(listener);
  listener.start = (onConnection) =>
    start((c) => {
      const source = parseIp(c.remoteAddress);
      if (entry.acl !== undefined && (source === undefined || !entry.acl.allows(source))) {
        refused(c);
        c.destroy();
        return;
      }
      onConnection(c);
      entry.connections.add(c);
      const { onClose } = c;
      c.onClose = (error) => {
        entry.connections.delete(c);
        onClose(error);
      };
    });
}
