/** `export.kafka` of the configuration file. */
import { z } from 'zod';
import { durationOr, sizeOr } from '../../config/fields.ts';
import { FORMATS } from '../../event/projections/index.ts';
import { EVENT_TYPES, type EventType } from '../../event/types.ts';
import { parseBroker, SASL_MECHANISMS } from './client.ts';
import { COMPRESSIONS } from './record-batch.ts';

const TYPES = EVENT_TYPES.map((t) => t.type) as [EventType, ...EventType[]];

/** A legal topic name is left to the broker's judgement beyond this: it would be quarantined there, record by record. */
const topicName = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,249}$/, 'a topic name: letters, digits, dot, dash, underscore, at most 249')
  .refine((s) => s !== '.' && s !== '..', 'a topic name other than . and ..');

const broker = z.string().refine((s) => parseBroker(s) !== undefined, 'HOST:PORT such as kafka-1.example:9092');

/** Renewed in place, so a path and not its content. */
const pemFile = z
  .string()
  .min(1)
  .refine((s) => !s.includes('-----BEGIN '), 'the path of a PEM file, not its text: leave ${file:} out');

const tls = z
  .strictObject({
    ca: pemFile.optional().meta({ description: 'PEM file of the CAs; absent: those of the system' }),
    cert: pemFile.optional().meta({ description: 'PEM file of our certificate' }),
    key: pemFile.optional().meta({ description: 'PEM file of its key' }),
  })
  .refine((t) => (t.cert === undefined) === (t.key === undefined), 'cert and key together');

const sasl = z
  .strictObject({
    mechanism: z.enum(SASL_MECHANISMS),
    username: z.string().default(''),
    password: z.string().default(''),
    token: z.string().optional().meta({ description: 'oauthbearer: the token' }),
    token_file: z.string().optional().meta({ description: 'oauthbearer: a file with it, read at each authentication' }),
  })
  .refine(
    (s) => s.mechanism !== 'oauthbearer' || (s.token === undefined) !== (s.token_file === undefined),
    'oauthbearer needs token or token_file',
  )
  .refine((s) => s.mechanism === 'oauthbearer' || s.username !== '', 'username and password');

export const kafkaConfig = z.strictObject({
  type: z.literal('kafka').default('kafka'),
  brokers: z.array(broker).min(1),
  network: z.string().min(1).optional().meta({ description: 'an entry of networks: the VRF or interface to bind to' }),
  topic_prefix: topicName.default('tidegate'),
  topics: z.partialRecord(z.enum(TYPES), topicName).default({}).meta({ description: 'other names, by event type' }),
  formats: z
    .partialRecord(z.enum(['snmp.trap.v1']), z.enum(FORMATS))
    .default({})
    .meta({ description: 'other formats than cloudevents, by event type; `audit` cannot prove anything of them' }),
  client: z.enum(['platformatic', 'kafkajs']).default('platformatic'),
  compression: z.enum(COMPRESSIONS).default('zstd'),
  tls: z.preprocess((v) => (v === true || v === null ? {} : v), tls).optional(),
  sasl: sasl.optional(),
  client_id: z
    .string()
    .regex(/^\S{1,128}$/)
    .default('tidegate'),
  linger: durationOr('50ms').meta({
    description:
      'the least time between requests while events stream, such as 50ms; a lone event and informs go at once',
  }),
  batch_bytes: sizeOr('900KiB').meta({ description: 'before compression; below max.message.bytes of the topics' }),
  batch_events: z.number().int().min(1).max(10_000).default(1000),
  request_timeout: durationOr('10s'),
  partitions: z.number().int().min(1).max(10_000).default(6).meta({ description: 'what `topics apply` creates' }),
  replication: z.number().int().min(1).max(32).default(3).meta({ description: 'as far as there are brokers' }),
});

/** `device`: that of its network, from `onDevice`; not a key of the file. */
export type KafkaConfig = z.output<typeof kafkaConfig> & { device?: string };

/** The topic of a type: `<prefix>.<type>` or its override. */
export function topicOf(c: Pick<KafkaConfig, 'topic_prefix' | 'topics'>, type: EventType): string {
  return c.topics[type] ?? `${c.topic_prefix}.${type}`;
}
