/** A neighbour that talks to a VIP: `node l2-probe.ts ADDRESS`. Each 10 ms a datagram to port 7000; prints who answers when that changes, and the losses between. */
import { createSocket } from 'node:dgram';

const [address] = process.argv.slice(2);
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
let sent = 0;
let answers = 0;
let lastAnswer = 0;
let who = '';
const say = (m: object) => process.stdout.write(`${JSON.stringify({ at: Date.now(), ...m })}\n`);

socket.on('message', (m) => {
  const [node, n] = m.toString().split(' ');
  const number = Number(n);
  answers++;
  if (node !== who || number > lastAnswer + 1)
    say({ from: who, to: node, lost: Math.max(0, number - lastAnswer - 1), ms: (number - lastAnswer) * 10 });
  who = node;
  lastAnswer = Math.max(lastAnswer, number);
});
socket.on('error', () => {});
// Sends nothing while the address cannot be reached: that is what it is there to see.
setInterval(() => socket.send(String(++sent), 7000, address, () => {}), 10);
process.on('SIGTERM', () => {
  say({ sent, answers });
  process.exit(0);
});
