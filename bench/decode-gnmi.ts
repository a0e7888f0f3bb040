/**
 * gNMI leaves per second and core: SubscribeResponse bytes → decoded → normalised → the JSON of the event. 50 leaves a message, the
 * shape of interface counters. Prints where the time goes; `node bench/decode-gnmi.ts [seconds]`.
 */
import { Buffer } from 'node:buffer';
import { decodeSubscribeResponse, PathCache } from '../src/codec/gnmi/decode.ts';
import { gnmiType } from '../src/codec/gnmi/proto.ts';
import { normalise } from '../src/collectors/gnmi/normalise.ts';
import { DecodeError } from '../src/core/result.ts';

const LEAVES = 50;
const MESSAGES = 200;
const seconds = Number(process.argv[2] ?? 2);
const facts = { target: 'r1', source: { address: '192.0.2.1', port: 57400 }, subscription: 'counters', epoch: 1 };

function messages(val: (i: number) => object): Buffer[] {
  const type = gnmiType('SubscribeResponse');
  return Array.from({ length: MESSAGES }, (_, m) => {
    const update = Array.from({ length: LEAVES }, (_, i) => ({
      path: {
        elem: [
          { name: 'interface', key: { name: `Ethernet${m % 40}/${i % 5}` } },
          { name: 'state' },
          { name: 'counters' },
          { name: `counter-${i}` },
        ],
      },
      val: val(m * LEAVES + i),
    }));
    const prefix = { origin: 'openconfig', target: 'r1', elem: [{ name: 'interfaces' }] };
    return Buffer.from(
      type.encode(type.fromObject({ update: { timestamp: `17000000000000${m}000`, prefix, update } })).finish(),
    );
  });
}

const kinds: [string, Buffer[]][] = [
  ['uint_val', messages((i) => ({ uint_val: String(i * 1_234_567_890) }))],
  ['json_ietf_val', messages((i) => ({ json_ietf_val: Buffer.from(`"${i * 1_234_567_890}"`) }))],
];

const type = gnmiType('SubscribeResponse');
const cache = new PathCache();
let sink = 0;

function decoded(b: Buffer) {
  const m = decodeSubscribeResponse(b, cache);
  if (m instanceof DecodeError) throw new Error(m.code);
  return m;
}

const stages: [string, (b: Buffer) => number][] = [
  ['protobufjs decode, for comparison', (b) => Object.keys(type.decode(b)).length],
  ['decode', (b) => decoded(b).extensions.length],
  ['decode, normalise, content id', (b) => normalise(decoded(b), facts).length],
  ['decode, normalise, content id, JSON', (b) => JSON.stringify(normalise(decoded(b), facts)[0].data).length],
];

for (const [kind, list] of kinds) {
  const bytes = list.reduce((n, b) => n + b.length, 0) / list.length;
  console.log(`${kind}: ${LEAVES} leaves, ${Math.round(bytes)} bytes a message`);
  for (const [name, run] of stages) {
    for (const b of list) sink += run(b);
    const from = performance.now();
    let done = 0;
    while (performance.now() - from < seconds * 1000) {
      for (const b of list) sink += run(b);
      done += list.length;
    }
    const perSecond = (done * LEAVES) / ((performance.now() - from) / 1000);
    console.log(`  ${name.padEnd(38)} ${Math.round(perSecond).toLocaleString('en')} leaves/s`);
  }
}
if (sink === 0) process.exitCode = 1;
