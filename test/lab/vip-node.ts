/**
 * A speaker alone in a namespace: `node vip-node.ts CONFIG.json SOCKET STATE.json`. The test is its workers: what it writes to the socket are
 * renewals; `{ask}`, `{drain}`, `{reload}` and `{stop}` are orders. Prints each event as a JSON line.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { clusterConfig } from '../../src/cluster/config.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import type { InterfaceAddress } from '../../src/lb/addresses.ts';
import { lbConfig } from '../../src/lb/config.ts';
import { addressDriver } from '../../src/net/address.ts';
import { controlNet } from '../../src/net/control.ts';
import { loadNative } from '../../src/net/native.ts';
import { createDial } from '../../src/net/tcp.ts';
import { listenUnix } from '../../src/net/unix.ts';
import { Speaker } from '../../src/process/speaker.ts';
import { bgpEdges } from '../../src/process/speaker-bgp.ts';
import { beginRun, endRun } from '../../src/process/speaker-run.ts';
import { Registry } from '../../src/telemetry/registry.ts';

const [configFile, socket, state] = process.argv.slice(2);
const driver = addressDriver(loadNative());
const must = <T extends { ok: boolean }>(r: T): T & { ok: true } => {
  if (!r.ok) throw new Error(JSON.stringify(r));
  return r as T & { ok: true };
};

process.chdir(dirname(configFile));
const file = JSON.parse(readFileSync(configFile, 'utf8')) as {
  node?: string;
  cluster?: unknown;
  lb?: unknown;
  networks?: Record<string, { device?: string }>;
};
const networks = file.networks ?? {};
const config = {
  node: file.node ?? 'edge-1',
  lb: lbConfig.parse(file.lb ?? file),
  cluster: file.cluster === undefined ? undefined : clusterConfig.parse(file.cluster),
};

const speaker = new Speaker({
  config: config.lb,
  node: config.node,
  workers: 1,
  clock: systemClock,
  log: silentLog,
  metrics: new Registry(),
  dial: createDial({ native: loadNative() }),
  ...bgpEdges(loadNative(), networks, systemClock),
  // As the supervisor would know it.
  resumes: config.lb.bgp?.graceful_restart !== undefined && beginRun(),
  cluster: config.cluster,
  control: controlNet(loadNative()),
  interfaces: () => Object.keys(networkInterfaces()),
  addresses: {
    async list() {
      const out: InterfaceAddress[] = [];
      for (const iface of Object.keys(networkInterfaces())) {
        const r = must(await driver.list(iface)) as unknown as { prefixes: string[] };
        for (const prefix of r.prefixes) out.push({ prefix, interface: iface });
      }
      return out;
    },
    add: async (a) => void must(await driver.add(a.interface, a.prefix, a.scope === 'host', a.lifetime)),
    remove: async (prefix, iface) => void must(await driver.remove(iface, prefix)),
  },
  store: {
    load: async () => (existsSync(state) ? (JSON.parse(readFileSync(state, 'utf8')) as InterfaceAddress[]) : []),
    save: async (ours) => writeFileSync(state, JSON.stringify(ours)),
  },
  onEvent: (e) => console.log(JSON.stringify(e)),
});

must(
  await listenUnix(socket, (peer) => {
    let worker: number | undefined;
    peer.onMessage = (m) => {
      const message = m as { ask?: boolean; stop?: string; drain?: boolean; reload?: unknown };
      if (message.ask) peer.send(speaker.status());
      else if (message.reload !== undefined) void speaker.reload(lbConfig.parse(message.reload));
      else if (message.drain !== undefined) message.drain ? speaker.drain() : speaker.undrain();
      else if (message.stop !== undefined) {
        const reason = message.stop;
        void speaker.stop(reason).then(() => {
          endRun();
          process.exit(0);
        });
      } else if (speaker.renewal(m)) worker = (m as { worker: number }).worker;
    };
    peer.onClose = () => {
      if (worker !== undefined) speaker.channelClosed(worker);
    };
  }),
);
await speaker.start();
console.log('{"ready":true}');
