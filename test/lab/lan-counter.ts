/**
 * Beside keepalived: takes notifications to the VIP, answers informs at once, and says the number of each before the
 * next turn of its loop, so that its own end loses next to nothing. It has its sockets before the
 * address is there (ip_nonlocal_bind). Started by lan-keepalived.ts.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { decodeEnvelope, decodePdu } from '../../src/codec/snmp/decode.ts';
import { responseTo } from '../../src/codec/snmp/encode.ts';
import { isDecodeError } from '../../src/core/result.ts';
import { answer, say, scriptConfig } from './scenario-script.ts';

const { addresses, port } = scriptConfig<{ addresses: string[]; port: number }>();
let seen: [number, boolean][] = [];

function flush(): void {
  if (seen.length > 0) say({ seen });
  seen = [];
}

for (const address of addresses) {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 21 });
  socket.on('message', (data, from) => {
    const envelope = decodeEnvelope(data);
    if (isDecodeError(envelope)) return;
    const pdu = decodePdu(data, envelope);
    if (isDecodeError(pdu) || pdu.pdu === 'trap-v1') return;
    if (seen.push([pdu.requestId, pdu.pdu === 'inform']) === 1) setImmediate(flush);
    if (pdu.pdu === 'inform') socket.send(responseTo(data, envelope, pdu), from.port, from.address, () => {});
  });
  // Where the address has just gone an answer has no source.
  socket.on('error', () => {});
  socket.bind(port, address);
  await once(socket, 'listening');
}
answer({ ready: () => undefined, flush });
