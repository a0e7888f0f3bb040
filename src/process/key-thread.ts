/** Entry of a thread that makes the keys of SNMPv3 users: jobs in, keys out, in the same order. */
import { Buffer } from 'node:buffer';
import { parentPort } from 'node:worker_threads';
import { localizePriv, masterKey } from '../protocol/usm/keys.ts';
import type { KeyJob, MadeKey } from './user-keys.ts';

function make({ auth, from, own }: KeyJob): MadeKey {
  const ku = 'passphrase' in from ? masterKey(auth, from.passphrase) : Buffer.from(from.master, 'hex');
  const made: MadeKey = { ku: ku.toString('hex') };
  if (own !== undefined) made.own = localizePriv(auth, own.priv, ku, Buffer.from(own.engine, 'hex')).toString('hex');
  return made;
}

parentPort!.on('message', (jobs: KeyJob[]) => parentPort!.postMessage(jobs.map(make)));
