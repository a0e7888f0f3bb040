/** The floor of the trap bench: a datagram receiver and the bare Kafka client, nothing between. `node floor.ts BOOTSTRAP TOPIC`. */
import { createSocket } from 'node:dgram';
import { compatibilityPartitioner, ProduceAcks, Producer } from '@platformatic/kafka';

const [bootstrap, topic] = process.argv.slice(2);
const producer = new Producer({
  clientId: 'floor',
  bootstrapBrokers: [bootstrap],
  acks: ProduceAcks.ALL,
  compression: 'zstd',
  partitioner: compatibilityPartitioner,
});
const queue: { topic: string; key: Buffer; value: Buffer }[] = [];
let sending = false;
async function flush(): Promise<void> {
  if (sending || queue.length === 0) return;
  sending = true;
  while (queue.length > 0) await producer.send({ messages: queue.splice(0, 500) });
  sending = false;
}
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
socket.on('message', (data, from) => {
  queue.push({ topic, key: Buffer.from(from.address), value: data });
  if (queue.length >= 500) void flush();
});
setInterval(() => void flush(), 5);
socket.bind(0, '127.0.0.1', () => console.log(JSON.stringify({ port: socket.address().port })));
process.on('SIGTERM', () => process.exit(0));
