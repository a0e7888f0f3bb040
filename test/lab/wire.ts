/**
 * Runs in a namespace and puts onto a wire what no program of good manners sends: frames of no protocol, first fragments that no second one
 * follows. Asked over its standard input: see scenario-script.ts.
 */
import { createSocket } from 'node:dgram';
import { foldSum, onesSum } from '../../src/codec/internet-checksum.ts';
import { parseIp } from '../../src/core/ip.ts';
import { loadNative } from '../../src/net/native.ts';
import { answer, scriptConfig } from './scenario-script.ts';

export interface WireConfig {
  device: string;
  /** The neighbour: its MAC address, and of both ends the addresses. */
  mac: string;
  from: { ipv4: string; ipv6: string };
  to: { ipv4: string; ipv6: string };
}

const config = scriptConfig<WireConfig>();
const native = loadNative()!;
const fd = native.openPacket({ device: config.device, etherType: 0x88b5 });
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');
const link = native.linkState(config.device)!;

function frame(etherType: number, payload: Buffer): void {
  const type = Buffer.from([etherType >> 8, etherType & 0xff]);
  const errno = native.packetSend(fd, Buffer.concat([hex(config.mac), link.mac, type, payload]));
  if (errno !== 0) throw new Error(`packetSend: ${errno}`);
}

/** The first 16 octets of a larger UDP datagram, RFC 791 section 3.1: more fragments follow. */
function fragment4(id: number): Buffer {
  const head = Buffer.alloc(20);
  head.set([0x45, 0, 0, 36, id >> 8, id & 0xff, 0x20, 0, 64, 17]);
  head.set(parseIp(config.from.ipv4)!, 12);
  head.set(parseIp(config.to.ipv4)!, 16);
  head.writeUInt16BE(foldSum(onesSum(head)), 10);
  return Buffer.concat([head, Buffer.alloc(16, 0x55)]);
}

/** The same of IPv6: RFC 8200 section 4.5. */
function fragment6(id: number): Buffer {
  const head = Buffer.alloc(48);
  head.set([0x60, 0, 0, 0, 0, 24, 44, 64]);
  head.set(parseIp(config.from.ipv6)!, 8);
  head.set(parseIp(config.to.ipv6)!, 24);
  head.set([17, 0, 0, 1], 40);
  head.writeUInt32BE(id, 44);
  return Buffer.concat([head, Buffer.alloc(16, 0x55)]);
}

const times = (count: unknown, one: (i: number) => void): void => {
  for (let i = 1; i <= Number(count); i++) one(i);
};

answer({
  strange: ({ count }) => times(count, () => frame(0x88b5, Buffer.alloc(50))),
  fragments4: ({ count }) => times(count, (i) => frame(0x0800, fragment4(i))),
  fragments6: ({ count }) => times(count, (i) => frame(0x86dd, fragment6(i))),
  /** Datagrams from a socket that is not connected: what comes back for them is nobody's. */
  datagrams: async ({ count, address, port, hex: octets }) => {
    const socket = createSocket(String(address).includes(':') ? 'udp6' : 'udp4');
    const data = Buffer.from(String(octets), 'hex');
    for (let i = 0; i < Number(count); i++)
      await new Promise<void>((done, fail) =>
        socket.send(data, Number(port), String(address), (e) => (e ? fail(e) : done())),
      );
    socket.close();
  },
});
