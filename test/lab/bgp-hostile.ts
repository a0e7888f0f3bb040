/**
 * A BGP neighbour that misbehaves: `node bgp-hostile.ts ADDRESS ASN PEER_ASN`. Each connection it gets plays one case; what came back as a
 * NOTIFICATION is printed as `{case, answer: CODE/SUBCODE}`, and `done` after the last.
 */
import { createServer } from 'node:net';
import { encodeKeepalive, encodeOpen } from '../../src/codec/bgp/index.ts';

const [address, asn] = process.argv.slice(2);
const MARKER = 'ff'.repeat(16);
const open = encodeOpen({
  asn: Number(asn),
  holdTime: 9,
  bgpId: address,
  capabilities: [{ name: 'multiprotocol', afi: 1, safi: 1 }],
});
const hex = (text: string) => Buffer.from(text, 'hex');
const rubbish = (n: number) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 73 + 11) & 0xff));
const up = [open, encodeKeepalive()];

const CASES: [string, Buffer[]][] = [
  ['update of rubbish', [...up, Buffer.concat([hex(`${MARKER}003702`), rubbish(36)])]],
  ['marker', [...up, hex(`${'00'.repeat(16)}001304`)]],
  ['length 18', [...up, hex(`${MARKER}001204`)]],
  ['type 99', [...up, hex(`${MARKER}001363`)]],
  ['update before open', [hex(`${MARKER}00170200000000`)]],
  ['rubbish', [rubbish(4000)]],
  ['nothing', []],
  ['half a message', [open.subarray(0, 25)]],
  ['open with a hold time of 1', [Buffer.concat([open.subarray(0, 22), hex('0001'), open.subarray(24)])]],
  ['a thousand opens', [Buffer.concat(Array.from({ length: 1000 }, () => open))]],
  ['a flood of keepalives', [...up, Buffer.concat(Array.from({ length: 5000 }, () => encodeKeepalive()))]],
];

let next = 0;
const server = createServer((socket) => {
  const mine = CASES[next++];
  if (!mine) {
    socket.destroy();
    return;
  }
  let answer = 'none';
  let seen = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk]);
    while (seen.length >= 19 && seen.length >= seen.readUInt16BE(16)) {
      if (seen[18] === 3) answer = `${seen[19]}/${seen[20]}`;
      seen = seen.subarray(seen.readUInt16BE(16));
    }
  });
  for (const b of mine[1]) socket.write(b);
  // Long enough for an answer, whatever the machine does beside.
  setTimeout(() => socket.destroy(), 1000);
  socket.on('close', () => {
    console.log(JSON.stringify({ case: mine[0], answer }));
    if (next === CASES.length) console.log('done');
  });
});
server.listen(179, address);
