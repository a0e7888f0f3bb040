/**
 * What many VIPs and peers cost one speaker: memory, and the time from a change of the grade to the last peer having all paths anew.
 *
 *   node bench/vip.ts [--vips 1000] [--peers 64]
 *
 * The peers are a process of their own; addresses are kept in memory, so that nothing of this machine changes.
 */
import { fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import { systemClock } from '../src/core/clock.ts';
import { silentLog } from '../src/core/log.ts';
import type { InterfaceAddress } from '../src/lb/addresses.ts';
import { lbConfig } from '../src/lb/config.ts';
import { createDial } from '../src/net/tcp.ts';
import { Speaker } from '../src/process/speaker.ts';
import { bgpEdges } from '../src/process/speaker-bgp.ts';
import { Registry } from '../src/telemetry/registry.ts';
import { freePort } from '../test/lab/tidegate.ts';

const { values: args } = parseArgs({
  options: { vips: { type: 'string', default: '1000' }, peers: { type: 'string', default: '64' } },
});
const VIPS = Number(args.vips);
const PEERS = Number(args.peers);
const port = await freePort('127.10.0.1');
const peers = fork(new URL('lib/bgp-peers.ts', import.meta.url), [String(PEERS), String(VIPS), String(port)]);
const next = (): Promise<unknown> => new Promise((resolve) => peers.once('message', resolve));
await next();

const rss = (): number => process.memoryUsage().rss / 2 ** 20;
const idle = rss();
const addresses: InterfaceAddress[] = [];
const speaker = new Speaker({
  config: lbConfig.parse({
    rise: '100ms',
    vips: Array.from({ length: VIPS }, (_, i) => ({
      name: `v${i}`,
      addresses: [`203.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}/32`],
    })),
    bgp: {
      asn: 64512,
      router_id: '10.0.0.1',
      peers: Array.from({ length: PEERS }, (_, i) => ({
        ...{ address: `127.10.0.${i + 1}`, port, asn: 64500, next_hop: '192.0.2.1', hold_time: '90s' },
      })),
    },
  }),
  ...{ node: 'bench', workers: 1, clock: systemClock, log: silentLog, metrics: new Registry(), dial: createDial() },
  ...bgpEdges(undefined, {}, systemClock),
  addresses: {
    list: async () => [...addresses],
    add: async (a) => void addresses.push({ prefix: a.prefix, interface: a.interface }),
    remove: async () => {},
  },
  store: { load: async () => [], save: async () => {} },
  onEvent: () => {},
} as ConstructorParameters<typeof Speaker>[0]);

let counter = 0;
let soft: string[] = [];
const renew = (): void =>
  void speaker.renewal({ worker: 0, of: 1, counter: ++counter, hard: [], soft, vips: {}, samples: [] });
setInterval(renew, 50);

interface Heard {
  updates: number;
  bytes: number;
}

async function measure(what: string, change: () => void): Promise<void> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  change();
  const { updates, bytes } = (await next()) as Heard;
  const used = process.cpuUsage(cpu);
  console.log(
    `${what}: ${(performance.now() - began).toFixed(0)} ms until the last of ${PEERS} peers had ${VIPS} paths; ${((used.user + used.system) / 1000).toFixed(0)} ms CPU; ${(updates / PEERS).toFixed(1)} UPDATEs and ${(bytes / PEERS / 1024).toFixed(1)} KiB a peer`,
  );
}

await measure('start', () => void speaker.start().then(renew));
await measure('full to degraded', () => {
  soft = ['export lag'];
  renew();
});
await measure('degraded to full (rise 100 ms)', () => {
  soft = [];
  renew();
});
console.log(`memory: ${idle.toFixed(0)} MiB before, ${rss().toFixed(0)} MiB with ${VIPS} VIPs and ${PEERS} peers`);
peers.disconnect();
process.exit(0);
