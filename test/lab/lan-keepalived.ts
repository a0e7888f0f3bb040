/**
 * Two keepalived nodes beside ours, as the measure of a VRRP take-over: adverts each 100 ms, version 3, IPv4 and IPv6, the same LAN, the
 * same devices and load. Behind each is a receiver that only counts (lan-counter.ts): nothing in it can lose a trap that arrived.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HOSTS, type LanWorld, TRAP_PORT, VIPS } from './lan-world.ts';
import type { Namespace } from './netns.ts';
import { labBin } from './peers.ts';
import { descendants, type Proc } from './proc.ts';
import { FAMILIES, type Received } from './scenario-load.ts';
import type { Case, Scene } from './scenario-run.ts';
import { Script } from './scenario-script.ts';
import { waitFor } from './wait.ts';

interface KeepalivedNode {
  name: string;
  ns: Namespace;
  host: number;
  priority: number;
  keepalived: Proc;
  receiver: Script;
}

const VIP = VIPS.keepalived;

export class KeepalivedPair implements Scene {
  readonly world: LanWorld;
  readonly nodes: KeepalivedNode[] = [];
  readonly received = new Map<number, Received>();
  readonly wrong: string[] = [];

  constructor(world: LanWorld) {
    this.world = world;
  }

  get sender(): Script {
    return this.world.sender;
  }

  /** Both up, and the first one has the VIP. */
  async start(): Promise<void> {
    for (const [i, ns] of this.world.beside.entries()) {
      const [host, priority] = [HOSTS.keepalived[i], [150, 100][i]];
      const file = join(this.world.lab.dir, `keepalived-${i}.conf`);
      writeFileSync(file, config(priority));
      this.nodes.push({
        ...{ name: `k${'ab'[i]}`, ns, host, priority },
        ...{ keepalived: this.keepalived(ns, i), receiver: this.receiver(ns) },
      });
    }
    for (const n of this.nodes) await n.receiver.ask('ready');
    await this.world.waitActive(VIP, this.nodes[0]);
  }

  private keepalived(ns: Namespace, i: number): Proc {
    const file = join(this.world.lab.dir, `keepalived-${i}.conf`);
    // What a killed one left: the number in it may belong to another process by now, and keepalived would not start.
    for (const pid of ['pid', 'vrrp']) rmSync(`${file}.${pid}`, { force: true });
    const pids = ['-p', `${file}.pid`, '-r', `${file}.vrrp`];
    return ns.spawn([labBin('keepalived'), '-n', '-l', '-D', '-P', '-f', file, ...pids]);
  }

  private receiver(ns: Namespace): Script {
    return new Script(ns, 'lan-counter.ts', { addresses: FAMILIES.map((f) => VIP[f]), port: TRAP_PORT }, (line) => {
      for (const [number, inform] of line.seen as [number, boolean][]) {
        const known = this.received.get(number);
        if (known) known.records++;
        else
          this.received.set(number, {
            ...{ ids: new Set(['']), records: 1, node: ns.short, worker: 0, at: Date.now(), address: '' },
            pdu: inform ? 'inform' : 'trap',
          });
      }
    });
  }

  async settle(): Promise<void> {
    for (const n of this.nodes) await n.receiver.ask('flush');
  }

  moved(): number {
    return 0;
  }

  /** Starts what was ended, and waits until the VIP is at home. */
  async restore(node: KeepalivedNode): Promise<void> {
    const i = this.nodes.indexOf(node);
    if (!node.receiver.proc.alive) node.receiver = this.receiver(node.ns);
    await node.receiver.ask('ready');
    if (!node.keepalived.alive) node.keepalived = this.keepalived(node.ns, i);
    await this.world.waitActive(VIP, node);
  }

  async away(node: KeepalivedNode): Promise<void> {
    await this.world.waitActive(VIP, ...this.nodes.filter((n) => n !== node));
  }
}

function config(priority: number): string {
  const instance = (family: 'ipv4' | 'ipv6') => `vrrp_instance ${family} {
  state BACKUP
  interface eth0
  virtual_router_id 52
  priority ${priority}
  advert_int 0.1
  virtual_ipaddress {
    ${VIP[family]}/${family === 'ipv4' ? 32 : 128} dev eth0
  }
}
`;
  return `global_defs {
  vrrp_version 3
  router_id keepalived-${priority}
}
${FAMILIES.map(instance).join('')}`;
}

/** keepalived is told to end, and gives up with priority 0; its receiver goes on. */
async function terminate(pair: KeepalivedPair, node: KeepalivedNode): Promise<void> {
  await node.keepalived.stop();
  await pair.away(node);
  await pair.restore(node);
}

async function killAll(pair: KeepalivedPair, node: KeepalivedNode): Promise<void> {
  const { keepalived, receiver } = node;
  for (const pid of descendants(keepalived.pid).reverse()) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended with its parent.
    }
  }
  await Promise.all([keepalived.kill9(), receiver.proc.kill9()]);
  await pair.away(node);
  await pair.restore(node);
}

async function silent(pair: KeepalivedPair, node: KeepalivedNode): Promise<void> {
  pair.world.silence(node.host, true);
  try {
    await pair.away(node);
  } finally {
    pair.world.silence(node.host, false);
  }
  await pair.world.waitActive(VIP, node);
  await waitFor(
    () => pair.nodes.filter((n) => n.ns.ip('address', 'show', 'dev', 'eth0').includes(`${VIP.ipv4}/`)).length === 1,
    'one active keepalived',
  );
}

/** Beside the cases of ours. A drain and a frozen receiver are nothing that keepalived knows. */
export const KEEPALIVED_CASES: readonly Case<KeepalivedPair, KeepalivedNode>[] = [
  { name: 'keepalived: SIGTERM', lossless: false, disturb: terminate },
  { name: 'keepalived: kill -9 of all', lossless: false, disturb: killAll },
  { name: 'keepalived: the path goes silent', lossless: false, disturb: silent },
];
