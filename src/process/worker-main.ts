/** Entry of a worker process: the first message says who it is. When the channel to the supervisor closes it syncs and exits. */
import { systemClock } from '../core/clock.ts';
import { disableNative, loadNative } from '../net/native.ts';
import { makeLogger } from '../telemetry/log.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { Worker } from './worker.ts';

const OPENING_MS = 1000;

let worker: Worker | undefined;

function send(m: FromWorker, written: () => void = () => {}): void {
  if (process.connected) process.send!(m, undefined, undefined, () => written());
}

// A signal to the group (Ctrl-C) is the supervisor's to answer: it ends the workers in order.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

process.on('disconnect', () => {
  void (worker?.abandon() ?? Promise.resolve()).finally(() => process.exit(0));
});

process.on('message', (message) => {
  const m = message as ToWorker;
  if (m.kind !== 'init') {
    worker?.handle(m);
    if (m.kind === 'stop') void worker?.stopped.then(() => process.disconnect?.());
    return;
  }
  const log = makeLogger({ level: m.config.log.level, tty: m.logTty, fields: { worker: m.index } });
  process.chdir(m.dataDir);
  // Events are nobody else's to read.
  process.umask(0o027);
  // Both sides have to agree who binds the sockets.
  if (m.nativeProblem !== undefined) disableNative(m.nativeProblem);
  loadNative();
  worker = new Worker(m, systemClock, log, send);
  // A large spool takes long to recover.
  const alive = setInterval(() => send({ kind: 'opening' }), OPENING_MS);
  worker
    .open()
    .finally(() => clearInterval(alive))
    .then(() => {
      send({ kind: 'bound', boot: worker!.boot });
      worker!.beat();
    })
    .catch((e: Error) => {
      log.error({ error: e.message }, 'the worker cannot run');
      send({ kind: 'fatal', message: e.message });
      process.exitCode = 1;
      setTimeout(() => process.exit(1), 100);
    });
});
