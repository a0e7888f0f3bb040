/**
 * NLRI per second from BMP bytes to events: `node bench/decode-bmp.ts [seconds]`. A full-table dump as routers send it (a few prefixes
 * an UPDATE, AS paths of 4 on average, communities) goes through the framer and the session machine; the stages are timed apart.
 */
import { type BgpContext, decodeBgp, encodeOpen, encodeUpdate } from '../src/codec/bgp/index.ts';
import { bmpFramer, encodePeerUp, encodeRouteMonitoring, type PeerInput } from '../src/codec/bmp/index.ts';
import { StreamCutter } from '../src/codec/stream.ts';
import { type BmpEffect, BmpMachine } from '../src/collectors/bmp/machine.ts';
import { systemClock } from '../src/core/clock.ts';
import { isDecodeError } from '../src/core/result.ts';

const SECONDS = Number(process.argv[2] ?? 3);
const UPDATES = 20_000;
const CHUNK = 65_536;
const peer: PeerInput = { address: '192.0.2.2', asn: 65001, bgpId: '192.0.2.2', sec: 1_700_000_000 };
const ctx: BgpContext = { as4: true, addPath: new Set(), extendedMessage: false };

let seed = 1;
const rnd = (n: number): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed % n;
};

const pdus: Buffer[] = [];
let perRound = 0;
for (let i = 0; i < UPDATES; i++) {
  const announced = [];
  for (let n = 1 + rnd(6); n > 0; n--) announced.push({ prefix: `${1 + rnd(220)}.${rnd(256)}.${rnd(256)}.0/24` });
  perRound += announced.length;
  const attributes = {
    origin: 'igp' as const,
    asPath: [{ type: 'sequence' as const, asns: [65001, 1 + rnd(400_000), 1 + rnd(400_000), 1 + rnd(400_000)] }],
    nextHop: '192.0.2.2',
    communities: [65001 * 65536 + rnd(100), 65001 * 65536 + rnd(100)],
  };
  pdus.push(encodeUpdate({ announced, attributes }, ctx));
}
const open = encodeOpen({ asn: 65001, holdTime: 90, bgpId: '192.0.2.2', capabilities: [{ name: 'as4', asn: 65001 }] });
const up = { localAddress: '192.0.2.1', localPort: 179, remotePort: 40000, sentOpen: open, receivedOpen: open };
const peerUp = encodePeerUp({ peer, ...up });
const stream = Buffer.concat(pdus.map((pdu) => encodeRouteMonitoring({ peer, pdu })));

function machine(): BmpMachine {
  const m = new BmpMachine({ address: '203.0.113.1', port: 1, epoch: 1, maxPeers: 10, pathIds: 'auto' });
  m.handle({ kind: 'message', bytes: peerUp }, []);
  return m;
}

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
      for (const pdu of pdus) if (isDecodeError(decodeBgp(pdu, ctx))) sink++;
    },
  ],
  [
    'bytes to events',
    () => {
      const session = machine();
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
      const session = machine();
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
