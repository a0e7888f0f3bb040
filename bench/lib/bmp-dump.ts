/** What a router says in a full-table dump over BMP: few prefixes an UPDATE, AS paths of 4, communities. */
import { Buffer } from 'node:buffer';
import { type BgpContext, encodeOpen, encodeUpdate } from '../../src/codec/bgp/index.ts';
import { encodePeerUp, encodeRouteMonitoring, type PeerInput } from '../../src/codec/bmp/index.ts';
import { type BmpEffect, BmpMachine } from '../../src/collectors/bmp/machine.ts';

export const dumpContext: BgpContext = { as4: true, addPath: new Set(), extendedMessage: false };
const peer: PeerInput = { address: '192.0.2.2', asn: 65001, bgpId: '192.0.2.2', sec: 1_700_000_000 };

const open = encodeOpen({ asn: 65001, holdTime: 90, bgpId: '192.0.2.2', capabilities: [{ name: 'as4', asn: 65001 }] });
const up = { localAddress: '192.0.2.1', localPort: 179, remotePort: 40000, sentOpen: open, receivedOpen: open };
/** The message before all others. */
export const peerUp = encodePeerUp({ peer, ...up });

export interface Dump {
  /** BGP UPDATEs. */
  pdus: Buffer[];
  /** Route Monitoring messages of them. */
  stream: Buffer;
  nlri: number;
}

/** The same for the same number of UPDATEs. */
export function fullTable(updates: number): Dump {
  let seed = 1;
  const rnd = (n: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed % n;
  };
  const pdus: Buffer[] = [];
  let nlri = 0;
  for (let i = 0; i < updates; i++) {
    const announced = [];
    for (let n = 1 + rnd(6); n > 0; n--) announced.push({ prefix: `${1 + rnd(220)}.${rnd(256)}.${rnd(256)}.0/24` });
    nlri += announced.length;
    const attributes = {
      origin: 'igp' as const,
      asPath: [{ type: 'sequence' as const, asns: [65001, 1 + rnd(400_000), 1 + rnd(400_000), 1 + rnd(400_000)] }],
      nextHop: '192.0.2.2',
      communities: [65001 * 65536 + rnd(100), 65001 * 65536 + rnd(100)],
    };
    pdus.push(encodeUpdate({ announced, attributes }, dumpContext));
  }
  return { pdus, stream: Buffer.concat(pdus.map((pdu) => encodeRouteMonitoring({ peer, pdu }))), nlri };
}

/** A session after its Peer Up. */
export function dumpSession(): BmpMachine {
  const m = new BmpMachine({ address: '203.0.113.1', port: 1, epoch: 1, maxPeers: 10, pathIds: 'auto' });
  const out: BmpEffect[] = [];
  m.handle({ kind: 'message', bytes: peerUp }, out);
  return m;
}
