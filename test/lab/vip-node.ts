/**
 * A speaker alone in a namespace: `node vip-node.ts CONFIG.json SOCKET STATE.json`. The test is its workers: what it writes to the socket are
 * renewals; `{ask}` and `{stop}` are answered there too. Prints each event as a JSON line.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import type { InterfaceAddress } from '../../src/lb/addresses.ts';
import { lbConfig } from '../../src/lb/config.ts';
import { addressDriver } from '../../src/net/address.ts';
import { loadNative } from '../../src/net/native.ts';
import { createDial } from '../../src/net/tcp.ts';
import { listenUnix } from '../../src/net/unix.ts';
import { Speaker } from '../../src/process/speaker.ts';
import { Registry } from '../../src/telemetry/registry.ts';

const [configFile, socket, state] = process.argv.slice(2);
const driver = addressDriver(loadNative());
const must = <T extends { ok: boolean }>(r: T): T & { ok: true } => {
  if (!r.ok) throw new Error(JSON.stringify(r));
  return r as T & { ok: true };
};

const speaker = new Speaker({
  config: lbConfig.parse(JSON.parse(readFileSync(configFile, 'utf8'))),
  node: 'edge-1',
  workers: 1,
  clock: systemClock,
  log: silentLog,
  metrics: new Registry(),
  dial: createDial({ native: loadNative() }),
  addresses: {
    async list() {
      const out: InterfaceAddress[] = [];
      for (const iface of ['lo', 'eth0']) {
        const r = must(await driver.list(iface)) as unknown as { prefixes: string[] };
        for (const prefix of r.prefixes) out.push({ prefix, interface: iface });
      }
      return out;
    },
    add: async (a) => void must(await driver.add(a.interface, a.prefix, a.scope === 'host')),
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
      const message = m as { ask?: boolean; stop?: string; drain?: boolean };
      if (message.ask) peer.send(speaker.status());
      else if (message.drain !== undefined) message.drain ? speaker.drain() : speaker.undrain();
      else if (message.stop !== undefined) void speaker.stop(message.stop).then(() => process.exit(0));
      else if (speaker.renewal(m)) worker = (m as { worker: number }).worker;
    };
    peer.onClose = () => {
      if (worker !== undefined) speaker.channelClosed(worker);
    };
  }),
);
await speaker.start();
console.log('{"ready":true}');
