/**
 * BGP peers for the bench of the announcer, a process of its own: `node bgp-peers.ts COUNT PREFIXES PORT`. Peer i listens at 127.10.0.i.
 * It says `ready`, then `{updates, bytes}` whenever every peer has heard of so many prefixes since that was last said.
 */
import { createServer } from 'node:net';
import { systemClock } from '../../src/core/clock.ts';
import { BgpPeer } from '../../src/protocol/bgp/peer.ts';

const [count, prefixes, port] = process.argv.slice(2).map(Number);
const heard = new Array<number>(count).fill(0);
let updates = 0;
let bytes = 0;

function listen(i: number): Promise<void> {
  const server = createServer((socket) => {
    const peer = new BgpPeer({
      ...{
        clock: systemClock,
        role: 'passive',
        asn: 64500,
        bgpId: `10.10.0.${i + 1}`,
        holdTime: 90,
        connectRetry: 5000,
      },
      capabilities: [
        { name: 'multiprotocol', afi: 1, safi: 1 },
        { name: 'multiprotocol', afi: 2, safi: 1 },
      ] as unknown as ConstructorParameters<typeof BgpPeer>[0]['capabilities'],
      onEstablished: () => {},
      onDown: () => {},
      onUpdate: (u, b) => {
        updates++;
        bytes += b.length;
        heard[i] += u.announced.length + u.mpReach.reduce((n, r) => n + (r.routes?.length ?? 0), 0);
        if (heard[i] >= prefixes && heard.every((n) => n >= prefixes)) {
          process.send!({ updates, bytes });
          heard.fill(0);
          updates = 0;
          bytes = 0;
        }
      },
    });
    peer.start();
    const stream = {
      write: (b: Buffer) => void socket.write(b),
      end: () => void socket.end(),
      destroy: () => void socket.destroy(),
    };
    peer.attach(stream);
    socket.on('data', (chunk: Buffer) => peer.received(stream, chunk));
    socket.on('error', () => {});
    socket.on('close', () => peer.closed(stream, undefined));
  });
  return new Promise((done) => server.listen(port, `127.10.0.${i + 1}`, done));
}

for (let i = 0; i < count; i++) await listen(i);
process.send!('ready');
process.on('disconnect', () => process.exit(0));
