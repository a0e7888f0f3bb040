/**
 * NLRI per second from BMP bytes on a connection, through a running tidegate with its spool, to a real broker (acks=all).
 * `node bench/bmp-kafka.ts [updates]`
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { KafkaLab } from '../test/lab/kafka.ts';
import { Tidegate } from '../test/lab/tidegate.ts';
import { fullTable, peerUp } from './lib/bmp-dump.ts';
import { cpuSeconds } from './lib/process.ts';

const UPDATES = Number(process.argv[2] ?? 60_000);
const TOPIC = 'tidegate.bmp.update.v1';
const { stream, nlri } = fullTable(UPDATES);
const lab = await KafkaLab.start({});

/** Messages in the topic now. */
async function messages(): Promise<number> {
  const offsets = await lab.admin((a) => a.fetchTopicOffsets(TOPIC));
  return offsets.reduce((n, p) => n + Number(p.high) - Number(p.low), 0);
}

try {
  for (const topic of [TOPIC, 'tidegate.bmp.router.v1', 'tidegate.bmp.peer.v1', 'tidegate.system.v1'])
    await lab.createTopic(topic, 3);
  const t = await Tidegate.start({
    config: {
      collectors: { bmp: { listen: ['127.0.0.1:0'] } },
      admin: { listen: '127.0.0.1:0' },
      workers: 1,
      export: { kafka: { brokers: lab.bootstrap() } },
    },
  });
  try {
    const port = Number((t.ready!.listening as { address: string }[])[0].address.split(':')[1]);
    const round = async (bytes: Buffer): Promise<number> => {
      const wanted = (await messages()) + UPDATES;
      const from = performance.now();
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write(peerUp);
      socket.end(bytes);
      await once(socket, 'finish');
      const end = from + 120_000;
      while ((await messages()) < wanted && performance.now() < end) await new Promise((r) => setTimeout(r, 20));
      socket.destroy();
      return (performance.now() - from) / 1000;
    };
    await round(stream);
    const before = cpuSeconds(t.pid);
    const seconds = await round(stream);
    const cpu = cpuSeconds(t.pid) - before;
    console.log(`${UPDATES} UPDATEs, ${nlri} NLRI, ${stream.length} bytes, one event an UPDATE`);
    console.log(
      `BMP bytes to Kafka   ${Math.round(nlri / seconds).toLocaleString('en')} NLRI/s, ${Math.round(UPDATES / seconds).toLocaleString('en')} UPDATEs/s, ${((cpu * 1e6) / UPDATES).toFixed(1)} µs CPU an UPDATE`,
    );
  } finally {
    await t.close();
  }
} finally {
  await lab.close();
}
