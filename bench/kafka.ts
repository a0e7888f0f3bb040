/**
 * Events from memory to a real broker, acks=all: our exporter beside the bare @platformatic/kafka producer (same values, headers and
 * batches) and kafkajs's. Prints events/s, CPU a message, and the ratio to the bare client. `node bench/kafka.ts [events]`
 */
import { createRequire } from 'node:module';
import { Producer } from '@platformatic/kafka';
import { systemClock } from '../src/core/clock.ts';
import { silentLog } from '../src/core/log.ts';
import { kafkaHeaders } from '../src/event/envelope.ts';
import { decodeRecord } from '../src/event/record.ts';
import { kafkaConfig } from '../src/export/kafka/config.ts';
import { KafkaExporter } from '../src/export/kafka/exporter.ts';
import { memoryShard } from '../test/export/memory-log.ts';
import { KafkaLab } from '../test/lab/kafka.ts';

const TRAP = 'snmp.trap.v1';
const PARTITIONS = 3;
const BATCH = 500;

export interface KafkaFigure {
  name: string;
  perSecond: number;
  cpuMicros: number;
}

/** One line of JSON as a trap has, 380 bytes. */
function value(i: number): string {
  const rx = { site: 'dc1', node: 'edge-1', worker: 0, boot: 1, class: 'alarm', seq: i };
  const base = JSON.stringify({ network: 'default', rx, trap_oid: '1.3.6.1.6.3.1.1.5.3', trap_name: 'linkDown' });
  return `${base.slice(0, -1)},"pad":"${'abcdefghij'.repeat(40).slice(0, 380 - base.length - 10)}"}`;
}

async function measure(name: string, events: number, work: () => Promise<void>): Promise<KafkaFigure> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { name, perSecond: events / seconds, cpuMicros: (user + system) / events };
}

async function ours(lab: KafkaLab, client: string, compression: string, events: number): Promise<KafkaFigure> {
  const prefix = `ours-${client}-${compression}`;
  await lab.createTopic(`${prefix}.${TRAP}`, PARTITIONS);
  const config = kafkaConfig.parse({
    brokers: lab.bootstrap(),
    topic_prefix: prefix,
    client,
    compression,
    batch_events: BATCH,
  });
  const shard = memoryShard();
  for (let i = 0; i < events; i++)
    shard.logs.alarm.append(TRAP, `default|10.0.${i % 7}.${i % 100}`, `id-${i}`, value(i));
  const x = new KafkaExporter({
    name: 'bench',
    config,
    node: 'edge-1',
    worker: 0,
    clock: systemClock,
    log: silentLog,
    quarantine: { file: '', put() {}, putRaw() {}, close() {} },
  });
  const idle = x.open(memoryShard());
  while (!idle.drained() || x.progress().problems.length > 0) await new Promise((r) => setTimeout(r, 20));
  const figure = await measure(`tidegate, ${client}, ${compression}`, events, async () => {
    const s = x.open(shard);
    await new Promise<void>((resolve) => {
      x.onChange = () => s.drained() && resolve();
    });
  });
  await x.close();
  return figure;
}

async function bare(
  lab: KafkaLab,
  compression: 'none' | 'zstd',
  withHeaders: boolean,
  events: number,
): Promise<KafkaFigure> {
  const topic = `bare-${compression}-${withHeaders}`;
  await lab.createTopic(topic, PARTITIONS);
  const producer = new Producer({ clientId: 'bench', bootstrapBrokers: lab.bootstrap(), compression, retries: 3 });
  const shard = memoryShard();
  for (let i = 0; i < events; i++)
    shard.logs.alarm.append(TRAP, `default|10.0.${i % 7}.${i % 100}`, `id-${i}`, value(i));
  await producer.send({ messages: [{ topic, value: Buffer.from('first'), partition: 0 }], acks: -1 });
  const name = `bare client, ${compression}, ${withHeaders ? 'with' : 'without'} headers`;
  const figure = await measure(name, events, async () => {
    const lane = async (partition: number) => {
      for (let at = partition * BATCH; at < events; at += BATCH * PARTITIONS) {
        const messages = shard.logs.alarm.records.slice(at, at + BATCH).map((r) => {
          const e = decodeRecord(r.payload)!;
          const headers = withHeaders
            ? new Map(kafkaHeaders(e, r.sec, r.nsec, 'edge-1').map(([k, v]) => [Buffer.from(k), Buffer.from(v)]))
            : undefined;
          return { topic, partition, key: e.key, value: e.value, headers };
        });
        await producer.send({ messages, acks: -1 });
      }
    };
    await Promise.all(Array.from({ length: PARTITIONS }, (_, p) => lane(p)));
  });
  await producer.close();
  return figure;
}

async function bareKafkajs(lab: KafkaLab, events: number): Promise<KafkaFigure> {
  const topic = 'bare-kafkajs';
  await lab.createTopic(topic, PARTITIONS);
  const { Partitioners } = createRequire(import.meta.url)('kafkajs') as typeof import('kafkajs');
  const producer = lab.kafkajs().producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic, messages: [{ value: 'first', partition: 0 }] });
  const figure = await measure('bare kafkajs, none, without headers', events, async () => {
    const lane = async (partition: number) => {
      for (let at = partition * BATCH; at < events; at += BATCH * PARTITIONS)
        await producer.send({
          topic,
          acks: -1,
          messages: Array.from({ length: BATCH }, (_, i) => ({ partition, key: `k${i}`, value: value(at + i) })),
        });
    };
    await Promise.all(Array.from({ length: PARTITIONS }, (_, p) => lane(p)));
  });
  await producer.disconnect();
  return figure;
}

/** All figures, each after a warm-up of the same. */
export async function benchKafka(events: number): Promise<KafkaFigure[]> {
  const lab = await KafkaLab.start({ heap: '1g' });
  try {
    const out: KafkaFigure[] = [];
    await bare(lab, 'none', false, events / 4).then(() => ours(lab, 'platformatic', 'gzip', events / 4));
    for (const compression of ['none', 'zstd'] as const) {
      out.push(await ours(lab, 'platformatic', compression, events));
      out.push(await bare(lab, compression, true, events));
    }
    out.push(await ours(lab, 'kafkajs', 'none', events));
    out.push(await bareKafkajs(lab, events));
    return out;
  } finally {
    await lab.close();
  }
}

export function printKafka(figures: KafkaFigure[]): void {
  const base = figures.find((f) => f.name === 'bare client, none, with headers')!;
  for (const f of figures)
    console.log(
      `${f.name.padEnd(44)} ${Math.round(f.perSecond).toString().padStart(8)} events/s  ${f.cpuMicros.toFixed(2).padStart(6)} µs CPU  ${(f.perSecond / base.perSecond).toFixed(2)} × the bare client`,
    );
}

if (import.meta.main) printKafka(await benchKafka(Number(process.argv[2] ?? 200_000)));
