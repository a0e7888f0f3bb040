/** Entry of the thread that compiles MIBs: reads the files, writes the table and what was wrong, each under its name only when it is whole. */
import { chmodSync, renameSync, writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { compileMibFiles } from '../config/mib-files.ts';
import type { MibReply, MibRequest, MibSummary } from './mibs.ts';

function write(path: string, content: Buffer | string): void {
  const partial = `${path}.part`;
  writeFileSync(partial, content);
  // Workers read it as another user.
  chmodSync(partial, 0o644);
  renameSync(partial, path);
}

const request = workerData as MibRequest;
let reply: MibReply = { ok: true };
try {
  const c = compileMibFiles(request.paths);
  const summary: MibSummary = { modules: c.modules.length, files: c.files, nodes: c.nodes, problems: c.problems };
  write(request.table, c.table);
  write(request.summary, JSON.stringify(summary));
} catch (e) {
  reply = { ok: false, message: (e as Error).message };
}
parentPort!.postMessage(reply);
