/** Entry of the speaker process. When its channel to the supervisor closes it withdraws and exits: closed sessions are the withdraw. */
import { readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { networkInterfaces, setPriority } from 'node:os';
import { systemClock } from '../core/clock.ts';
import type { Addresses, AddressStore, InterfaceAddress } from '../lb/addresses.ts';
import { addressDriver } from '../net/address.ts';
import { controlNet } from '../net/control.ts';
import { disableNative, loadNative, type Native } from '../net/native.ts';
import { createDial } from '../net/tcp.ts';
import { listenUnix, type UnixPeer } from '../net/unix.ts';
import { makeLogger } from '../telemetry/log.ts';
import { Registry } from '../telemetry/registry.ts';
import { Courier } from './courier.ts';
import { IngestDoor } from './ingest-door.ts';
import { INTERVAL_MS, LatenessMeter } from './lateness.ts';
import type { FromSpeaker, FromSpeakerToWorker, SpeakerInit, SystemEvent, ToSpeaker } from './messages.ts';
import { limitRoot } from './privileges.ts';
import { type Priority, Speaker } from './speaker.ts';
import { BEAT_MS, SpeakerBeat } from './speaker-beat.ts';
import { bgpEdges } from './speaker-bgp.ts';

const STORE = 'addresses.json';

let speaker: Speaker | undefined;
let door: IngestDoor | undefined;
let clockSkew: number | undefined;
let beat: SpeakerBeat | undefined;

function send(m: FromSpeaker): void {
  if (process.connected) process.send!(m, undefined, undefined, () => {});
}

process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

process.on('disconnect', () => {
  const giveUp = setTimeout(() => process.exit(0), 2000);
  void (speaker?.abandon('the supervisor is gone') ?? Promise.resolve()).finally(() => {
    clearTimeout(giveUp);
    process.exit(0);
  });
});

process.on('message', (message) => {
  const m = message as ToSpeaker;
  switch (m.kind) {
    case 'init':
      void run(m);
      return;
    case 'ask':
      send({ kind: 'answer', id: m.id, value: speaker?.status() ?? {} });
      return;
    case 'drain':
      speaker?.drain(m.reason);
      door?.changed(true);
      return;
    case 'undrain':
      speaker?.undrain();
      door?.changed(false);
      return;
    case 'reconfigure':
      iface = m.config.lb.interface;
      void speaker?.reload(m.config.lb, m.config.cluster, m.listens);
      return;
    case 'stop':
      void (speaker?.stop(m.reason) ?? Promise.resolve()).finally(() => {
        send({ kind: 'stopped' });
        setTimeout(() => process.exit(0), 20);
      });
      return;
  }
});

/** lb.interface as it is now. */
let iface = 'lo';
/** The channels over which somebody renewed a lease. */
const workers = new Set<UnixPeer>();

function tell(m: FromSpeakerToWorker): void {
  for (const peer of workers) peer.send(m);
}

/** An event goes through a live worker; without one it waits. */
const courier = new Courier<UnixPeer>(() => {
  const [peer] = workers;
  return (
    peer && { key: peer, send: (id, event) => peer.send({ kind: 'event', id, event } satisfies FromSpeakerToWorker) }
  );
});

function say(event: SystemEvent): void {
  courier.say(event);
}

async function run(init: SpeakerInit): Promise<void> {
  if (init.nativeProblem !== undefined) disableNative(init.nativeProblem);
  const { config } = init;
  iface = config.lb.interface;
  process.chdir(init.dataDir);
  const log = makeLogger({ level: config.log.level, tty: init.logTty, fields: { process: 'speaker' } });
  const native = loadNative();
  const registry = new Registry();
  try {
    const priority = raisePriority(native);
    log.info({ priority }, 'speaker starts');
    speaker = new Speaker({
      config: config.lb,
      node: config.node,
      site: config.site,
      cluster: config.cluster,
      control: controlNet(native),
      interfaces: () => Object.keys(networkInterfaces()),
      onClockSkew: (ms) => {
        clockSkew = ms;
      },
      workers: init.workers,
      listens: init.listens,
      clock: systemClock,
      log,
      metrics: registry,
      dial: createDial({ native }),
      ...bgpEdges(native, config.networks, systemClock),
      resumes: init.resumes,
      addresses: kernelAddresses(() => iface),
      store: fileStore(),
      onEvent: ({ ...data }) => say({ type: 'system.v1', data }),
      onDecision: () => beat?.hurry(),
      onCloseSessions: (spreadMs) => tell({ kind: 'close-sessions', spreadMs }),
    });
    door = new IngestDoor(speaker, (on) => send({ kind: 'draining', on }));
    const channel = await listenUnix(
      init.socket,
      (peer) => {
        let worker: number | undefined;
        peer.onMessage = (message) => {
          if (!speaker!.listening(message) && !speaker!.renewal(message)) {
            const { kind, id } = (message ?? {}) as { kind?: unknown; id?: unknown };
            if (kind === 'said') courier.confirmed(peer, id);
            else door!.heard(peer, message);
            return;
          }
          worker = (message as { worker: number }).worker;
          if (!workers.has(peer)) beat?.greet(peer);
          workers.add(peer);
          courier.flush();
        };
        peer.onClose = () => {
          workers.delete(peer);
          courier.gone(peer);
          door!.closed(peer);
          if (worker !== undefined) speaker!.channelClosed(worker);
        };
      },
      init.gid,
    );
    if (!channel.ok) throw new Error(`the lease channel cannot be opened: ${channel.text}${whose(channel.code, init)}`);
    await speaker.start();
    const kept = limitRoot('speaker', native);
    if (kept !== undefined) log.warn({}, kept);
    speaker.priority = priority;
    send({ kind: 'up' });
    beat = new SpeakerBeat({
      clock: systemClock,
      decision: () => speaker!.vipz(),
      clockSkew: () => clockSkew,
      samples: () => {
        speaker!.measure();
        return registry.changes();
      },
      send,
      tell: (m) => {
        tell(m);
        door!.tell(m.decision);
      },
    });
    beat.now();
    speaker.lateness = new LatenessMeter(
      systemClock,
      registry.histogram('tidegate_lb_timer_late_seconds'),
      () => (speaker!.quiet ? BEAT_MS : INTERVAL_MS),
      () => beat!.tick(),
    );
    speaker.lateness.start();
  } catch (e) {
    log.error({ error: (e as Error).message }, 'the speaker cannot run');
    send({ kind: 'fatal', message: (e as Error).message });
    setTimeout(() => process.exit(1), 100);
  }
}

/** Ingest connects by its group, and only a member of a group may give it a file. */
function whose(code: string, init: SpeakerInit): string {
  if (code !== 'EPERM' || init.gid === undefined) return '';
  const own = process.getgroups?.().join(', ');
  return `: it has to belong to group ${init.gid}, that of \`user: ${init.config.user}\`, and this process is only in ${own}: set \`user:\` to who runs ingest, by name or UID:GID, or start the speaker in that group`;
}

/**
 * Sessions must not be lost because the workers are busy: before all that is not real-time (sched(7)), else before others of its kind.
 * One that spins is held to the kernel's share for real-time tasks, and killed by the supervisor for its silence.
 */
function raisePriority(native: Native | undefined): Priority {
  if (native?.realtime(1) === 0) return 'realtime';
  try {
    setPriority(-10);
    return 'nice';
  } catch {
    return 'normal';
  }
}

/** `vipInterface`: where VIPs are put; it must be there to be read. */
function kernelAddresses(vipInterface: () => string): Addresses {
  const driver = addressDriver(loadNative());
  const fail = (r: { ok: boolean; text?: string }): void => {
    if (!r.ok) throw new Error(r.text);
  };
  return {
    async list() {
      const own = vipInterface();
      const names = new Set([own, ...Object.keys(networkInterfaces())]);
      const out: InterfaceAddress[] = [];
      for (const name of names) {
        const r = await driver.list(name);
        if (r.ok) for (const prefix of r.prefixes) out.push({ prefix, interface: name });
        else if (name === own) throw new Error(r.text);
      }
      return out;
    },
    add: async (a) => fail(await driver.add(a.interface, a.prefix, a.scope === 'host', a.lifetime)),
    remove: async (prefix, name) => fail(await driver.remove(name, prefix)),
  };
}

/** The record of our addresses, replaced as a whole and durable before an address is added. */
function fileStore(): AddressStore {
  return {
    async load() {
      try {
        return JSON.parse(readFileSync(STORE, 'utf8')) as InterfaceAddress[];
      } catch {
        return [];
      }
    },
    async save(ours) {
      const next = await open(`${STORE}.new`, 'w', 0o600);
      await next.writeFile(JSON.stringify(ours));
      await next.datasync();
      await next.close();
      await rename(`${STORE}.new`, STORE);
      // Without this a power cut may bring back the older record, and an address of ours would be nobody's.
      const directory = await open('.', 'r');
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    },
  };
}
