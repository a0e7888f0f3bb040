/** A thread whose library lets errors fall: contain.test.ts starts it and tells it which. */
import { parentPort } from 'node:worker_threads';
import { contain } from '../../src/export/contain.ts';
import { ClientError } from '../../src/export/kafka/errors.ts';

const port = parentPort!;
contain(process, {
  contained: (message) => port.postMessage({ kind: 'contained', message }),
  fatal: (message) => port.postMessage({ kind: 'fatal', message }),
});

/** An error as one of a package has it. */
function foreign(): Error {
  const e = new TypeError('callback is not a function');
  e.stack = `${e.message}\n    at Connection.onData (file:///opt/app/node_modules/some-client/dist/connection.js:10:7)\n    at node:events:508:28`;
  return e;
}

port.on('message', (what: string) => {
  if (what === 'rejection') void Promise.reject(foreign());
  else if (what === 'exception')
    setImmediate(() => {
      throw foreign();
    });
  else if (what === 'connection') void Promise.reject(new ClientError('network', 'connection refused'));
  else if (what === 'runtime')
    void Promise.reject(
      Object.assign(new Error('read ECONNRESET'), {
        stack: 'Error: read ECONNRESET\n    at TCP.onStreamRead (node:internal/stream_base_commons:216:20)',
      }),
    );
  else if (what === 'own') void Promise.reject(new Error('a bug of ours'));
});
