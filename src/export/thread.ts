/** The export thread of a worker: started with node:worker_threads, so that neither compression nor a backlog costs reception. Messages: messages.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { disableNative, loadNative } from '../net/native.ts';
import { openSender } from '../net/sender.ts';
import { realFs } from '../spool/fs.ts';
import { contain, errorText } from './contain.ts';
import type { ExportThreadData, FromExport, ToExport } from './messages.ts';
import { ExportRunner } from './runner.ts';

const port = parentPort;
if (!port) throw new Error('this module is the entry of a thread');
const send = (m: FromExport) => port.postMessage(m);
// Now, while the process may still read every file.
const { nativeProblem } = workerData as ExportThreadData;
if (nativeProblem !== undefined) disableNative(nativeProblem);
loadNative();

function logger(extra: Record<string, unknown>): Logger {
  const at = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: Record<string, unknown>, msg: string) =>
    send({ kind: 'log', level, fields: { ...extra, ...fields }, msg });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => logger({ ...extra, ...fields }),
  };
}

let runner: ExportRunner | undefined;
port.on('message', (m: ToExport) => {
  try {
    if (m.kind === 'init') {
      runner = new ExportRunner({ init: m, clock: systemClock, log: logger({}), fs: realFs, send, openSender });
      runner.start();
      return;
    }
    runner?.handle(m);
  } catch (e) {
    send({ kind: 'fatal', message: errorText(e) });
  }
});
contain(process, {
  contained: (message) => (runner ? runner.contained(message) : send({ kind: 'fatal', message })),
  fatal: (message) => send({ kind: 'fatal', message }),
});
send({ kind: 'loaded' });
