/**
 * A layer-2 node alone in a namespace: `node l2-node.ts CONFIG.json STATE.json`, with cluster heartbeat, back end and addresses as the speaker has them.
 * Lines on stdin are commands: `{grade}`, `{stop}`. Prints `{event}` and, after each change, `{vips}`. UDP datagrams to port 7000 are sent back with its name.
 */
import { createSocket } from 'node:dgram';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { clusterConfig } from '../../src/cluster/config.ts';
import { ClusterSession } from '../../src/cluster/session.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { type InterfaceAddress, VipAddresses } from '../../src/lb/addresses.ts';
import type { BackEndEvents } from '../../src/lb/back-end.ts';
import { lbConfig } from '../../src/lb/config.ts';
import type { Grade } from '../../src/lb/grade.ts';
import { L2BackEnd } from '../../src/lb/l2/session.ts';
import { addressDriver } from '../../src/net/address.ts';
import { controlNet } from '../../src/net/control.ts';
import { loadNative } from '../../src/net/native.ts';
import { Registry } from '../../src/telemetry/registry.ts';

const [configFile, state] = process.argv.slice(2);
const raw = JSON.parse(readFileSync(configFile, 'utf8'));
const lb = lbConfig.parse(raw.lb);
const cluster = clusterConfig.parse(raw.cluster);
const node: string = raw.node;
const iface: string = lb.l2!.interfaces![0];
const native = loadNative();
const driver = addressDriver(native);
const net = controlNet(native);
const metrics = new Registry();
const say = (m: object) => process.stdout.write(`${JSON.stringify({ at: Date.now(), ...m })}\n`);
const common = { clock: systemClock, log: silentLog, metrics };

let grade: Grade = 'full';
const must = <T extends { ok: boolean }>(r: T): T & { ok: true } => {
  if (!r.ok) throw new Error(JSON.stringify(r));
  return r as T & { ok: true };
};

const addresses = new VipAddresses({
  ...common,
  addresses: {
    async list() {
      const { prefixes } = must(await driver.list(iface)) as unknown as { prefixes: string[] };
      return prefixes.map((prefix): InterfaceAddress => ({ prefix, interface: iface }));
    },
    add: async (a) => void must(await driver.add(a.interface, a.prefix, a.scope === 'host', a.lifetime)),
    remove: async (prefix, name) => void must(await driver.remove(name, prefix)),
  },
  store: {
    load: async () => (existsSync(state) ? (JSON.parse(readFileSync(state, 'utf8')) as InterfaceAddress[]) : []),
    save: async (ours) => writeFileSync(state, JSON.stringify(ours)),
  },
  onChange: () => tell(),
});

const events: BackEndEvents = {
  onChange: () => {
    void addresses.want(l2.addresses());
    tell();
  },
  onSession: (protocol, peer, from, to, reason) => say({ event: 'session', protocol, peer, from, to, reason }),
  onAlarm: (reason, facts) => say({ event: 'alarm', reason, facts }),
};

const membership = new ClusterSession({ ...common, config: cluster, node, site: 'lab', net, events });
const l2 = new L2BackEnd({
  ...{ ...common, net, membership, timeout: cluster.timeout, events },
  defaultInterfaces: () => [iface],
});

let said = '';
function tell(): void {
  const vips = lb.vips.flatMap((v) => v.addresses.map((prefix) => ({ vip: v.name, prefix })));
  l2.want({
    ...{ grade, reason: grade, draining: false },
    vips: vips.map((v) => ({
      ...{ ...v, mode: 'ecmp', preferred: true },
      bound: addresses.get(v.prefix).interface !== undefined,
    })),
  });
  const facts = Object.fromEntries(vips.map((v) => [v.prefix, l2.facts(v.prefix)]));
  const text = JSON.stringify(facts);
  if (text !== said) say({ vips: facts });
  said = text;
}

const echo = createSocket({ type: 'udp6' });
echo.on('message', (m, from) => echo.send(`${node} ${m}`, from.port, from.address));
echo.bind(7000, '::');

membership.start();
l2.configure({ lb, node, routerId: '192.0.2.1' });
tell();
await addresses.start(l2.addresses());
tell();
say({ ready: true });

createInterface({ input: process.stdin }).on('line', async (line) => {
  const m = JSON.parse(line) as { grade?: Grade; stop?: boolean; status?: boolean };
  if (m.grade) grade = m.grade;
  if (m.status) say({ status: { l2: l2.status(), cluster: membership.status(), metrics: metrics.snapshot() } });
  tell();
  if (m.stop) {
    await l2.stop('stopping');
    membership.stop();
    await addresses.stop();
    process.exit(0);
  }
});
