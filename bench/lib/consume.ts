/** A live consumer that notes how old each event is when it becomes readable. */
import { Consumer, MessagesStreamModes, stringDeserializers } from '@platformatic/kafka';

export async function consume(bootstrap: string, topic: string): Promise<{ stop: () => Promise<number[]> }> {
  const consumer = new Consumer({
    clientId: 'bench',
    groupId: `bench-${process.pid}`,
    bootstrapBrokers: [bootstrap],
    deserializers: stringDeserializers,
    minBytes: 1,
    maxWaitTime: 10,
  });
  const stream = await consumer.consume({
    topics: [topic],
    mode: MessagesStreamModes.LATEST,
    autocommit: false,
    sessionTimeout: 10_000,
    heartbeatInterval: 500,
  });
  const ages: number[] = [];
  stream.on('data', (m: { headers: Map<string, string> }) => {
    const time = m.headers.get('ce_time');
    if (time === undefined) return;
    const micros = Number(`0.${time.slice(23, -1) || '0'}`);
    ages.push(performance.timeOrigin + performance.now() - (Date.parse(`${time.slice(0, 23)}Z`) + micros));
  });
  return {
    stop: async () => {
      await stream.close();
      await consumer.close(true);
      return ages;
    },
  };
}
