/**
 * NLRI per second from BMP bytes to events: `node bench/decode-bmp.ts [seconds]`. A full-table dump as routers send it (a few prefixes
 * an UPDATE, AS paths of 4 on average, communities) goes through the framer and the session machine; the stages are timed apart.
 */
import { decodeBgp } from '../src/codec/bgp/index.ts';
import { bmpFramer } from '../src/codec/bmp/index.ts';
import { StreamCutter } from '../src/codec/stream.ts';
import type { BmpEffect } from '../src/collectors/bmp/machine.ts';
import { systemClock } from '../src/core/clock.ts';
import { isDecodeError } from '../src/core/result.ts';
import { dumpContext, dumpSession, fullTable } from './lib/bmp-dump.ts';

const SECONDS = Number(process.argv[2] ?? 3);
const UPDATES = 20_000;
const CHUNK = 65_536;
const { pdus, stream, nlri: perRound } = fullTable(UPDATES);

/** Frames the whole stream in chunks and gives each message to `each`. */
function cut(each: (message: Buffer) => void): void {
  const cutter = new StreamCutter();
  const frame = bmpFramer();
  for (let at = 0; at < stream.length; at += CHUNK) {
    cutter.push(stream.subarray(at, at + CHUNK));
    for (let m = cutter.next(frame); m !== undefined && !isDecodeError(m); m = cutter.next(frame)) each(m);
    cutter.retain();
  }
}

let sink = 0;
const stages: [string, () => void][] = [
  ['framing', () => cut((m) => (sink += m.length))],
  [
    'BGP decode',
    () => {
      for (const pdu of pdus) if (isDecodeError(decodeBgp(pdu, dumpContext))) sink++;
    },
  ],
  [
    'bytes to events',
    () => {
      const session = dumpSession();
      const out: BmpEffect[] = [];
      cut((bytes) => {
        session.handle({ kind: 'message', bytes }, out);
        sink += out.length;
        out.length = 0;
      });
    },
  ],
  [
    'bytes to JSON text',
    () => {
      const session = dumpSession();
      const out: BmpEffect[] = [];
      cut((bytes) => {
        session.handle({ kind: 'message', bytes }, out);
        for (const e of out) if (e.kind === 'emit') sink += JSON.stringify(e.data).length;
        out.length = 0;
      });
    },
  ],
];

console.log(`${UPDATES} UPDATEs, ${perRound} NLRI, ${stream.length} bytes a round`);
for (const [name, round] of stages) {
  round();
  const from = systemClock.nowMs();
  let rounds = 0;
  while (systemClock.nowMs() - from < (SECONDS * 1000) / stages.length) {
    round();
    rounds++;
  }
  const seconds = (systemClock.nowMs() - from) / 1000;
  const nlri = Math.round((rounds * perRound) / seconds);
  const updates = Math.round((rounds * UPDATES) / seconds);
  console.log(`${name.padEnd(20)} ${nlri.toLocaleString('en')} NLRI/s, ${updates.toLocaleString('en')} UPDATEs/s`);
}
if (sink < 0) console.log(sink);
