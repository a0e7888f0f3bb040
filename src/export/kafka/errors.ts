/** What a Kafka error code means for a batch, and what to tell the operator. Codes: kafka.apache.org/protocol#protocol_error_codes. */

export type Outcome =
  | 'ok'
  /** Try again after a while; `refresh` where the metadata is out of date. */
  | 'retry'
  | 'refresh'
  /** The same, with a definite cause that only the operator can remove. */
  | 'topic-missing'
  | 'no-leader'
  | 'denied'
  | 'refused'
  /** The producer's state is lost: a new producer id, the same records. */
  | 'new-producer'
  /** Never accepted as it is. */
  | 'too-large'
  | 'invalid-record'
  | 'invalid-topic';

interface Meaning {
  name: string;
  outcome: Outcome;
}

const CODES = new Map<number, Meaning>([
  [0, { name: 'NONE', outcome: 'ok' }],
  [2, { name: 'CORRUPT_MESSAGE', outcome: 'retry' }],
  [3, { name: 'UNKNOWN_TOPIC_OR_PARTITION', outcome: 'topic-missing' }],
  [5, { name: 'LEADER_NOT_AVAILABLE', outcome: 'no-leader' }],
  [6, { name: 'NOT_LEADER_OR_FOLLOWER', outcome: 'refresh' }],
  [7, { name: 'REQUEST_TIMED_OUT', outcome: 'retry' }],
  [9, { name: 'REPLICA_NOT_AVAILABLE', outcome: 'refresh' }],
  [10, { name: 'MESSAGE_TOO_LARGE', outcome: 'too-large' }],
  [13, { name: 'NETWORK_EXCEPTION', outcome: 'refresh' }],
  [17, { name: 'INVALID_TOPIC_EXCEPTION', outcome: 'invalid-topic' }],
  [18, { name: 'RECORD_LIST_TOO_LARGE', outcome: 'too-large' }],
  [19, { name: 'NOT_ENOUGH_REPLICAS', outcome: 'refused' }],
  [20, { name: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', outcome: 'refused' }],
  [29, { name: 'TOPIC_AUTHORIZATION_FAILED', outcome: 'denied' }],
  [31, { name: 'CLUSTER_AUTHORIZATION_FAILED', outcome: 'denied' }],
  [32, { name: 'INVALID_TIMESTAMP', outcome: 'invalid-record' }],
  [43, { name: 'UNSUPPORTED_FOR_MESSAGE_FORMAT', outcome: 'refused' }],
  [44, { name: 'POLICY_VIOLATION', outcome: 'refused' }],
  [45, { name: 'OUT_OF_ORDER_SEQUENCE_NUMBER', outcome: 'new-producer' }],
  // The broker has it already: the answer to the first attempt was lost.
  [46, { name: 'DUPLICATE_SEQUENCE_NUMBER', outcome: 'ok' }],
  [47, { name: 'INVALID_PRODUCER_EPOCH', outcome: 'new-producer' }],
  [49, { name: 'INVALID_PRODUCER_ID_MAPPING', outcome: 'new-producer' }],
  [56, { name: 'KAFKA_STORAGE_ERROR', outcome: 'refresh' }],
  [59, { name: 'UNKNOWN_PRODUCER_ID', outcome: 'new-producer' }],
  [72, { name: 'LISTENER_NOT_FOUND', outcome: 'no-leader' }],
  [74, { name: 'FENCED_LEADER_EPOCH', outcome: 'refresh' }],
  [75, { name: 'UNKNOWN_LEADER_EPOCH', outcome: 'refresh' }],
  [76, { name: 'UNSUPPORTED_COMPRESSION_TYPE', outcome: 'refused' }],
  [87, { name: 'INVALID_RECORD', outcome: 'invalid-record' }],
  [89, { name: 'THROTTLING_QUOTA_EXCEEDED', outcome: 'retry' }],
  [90, { name: 'PRODUCER_FENCED', outcome: 'new-producer' }],
  [100, { name: 'UNKNOWN_TOPIC_ID', outcome: 'topic-missing' }],
]);

/** An unknown code is waited out: a newer broker may know more reasons than we do. */
export function meaningOf(code: number): Meaning {
  return CODES.get(code) ?? { name: `error ${code}`, outcome: 'retry' };
}

/** What stands in the way of one topic, or of all, and what removes it. */
export interface ProblemText {
  problem: string;
  fix: string;
}

function partitionsText(partitions: readonly number[]): string {
  const shown = partitions.slice(0, 8).join(', ');
  return `partition${partitions.length > 1 ? 's' : ''} ${shown}${partitions.length > 8 ? ', …' : ''}`;
}

/** Words for partitions that cannot be written now. `detail` is what the broker said besides. */
export function problemText(
  code: number,
  topic: string,
  partitions: readonly number[],
  detail: string | undefined,
): ProblemText {
  const which = partitionsText(partitions);
  const { name, outcome } = meaningOf(code);
  const said = `${name}${detail ? `: ${detail}` : ''}`;
  switch (outcome) {
    case 'topic-missing':
      return {
        problem: `topic ${topic} does not exist`,
        fix: '`tidegate topics apply` creates it, or name another one under export.kafka.topics',
      };
    case 'no-leader':
      return {
        problem: `${which} of topic ${topic} ${partitions.length > 1 ? 'have' : 'has'} no leader`,
        fix: 'start the brokers that hold its replicas; the other partitions go on',
      };
    case 'denied':
      return name === 'CLUSTER_AUTHORIZATION_FAILED'
        ? {
            problem: 'the cluster denies us an idempotent producer',
            fix: 'give our principal the ACL IdempotentWrite on the cluster',
          }
        : {
            problem: `we may not write to topic ${topic}`,
            fix: 'give our principal the ACLs Write and Describe on it (kafka-acls --add --producer)',
          };
    case 'refused':
      if (code === 19 || code === 20)
        return {
          problem: `topic ${topic}, ${which}: fewer replicas are in sync than min.insync.replicas asks for`,
          fix: 'start the missing brokers, or lower min.insync.replicas of the topic',
        };
      return { problem: `topic ${topic} refuses our records (${said})`, fix: 'see the configuration of the topic' };
    case 'invalid-topic':
      return {
        problem: `the topic name ${topic} is not valid`,
        fix: 'correct export.kafka.topic_prefix or export.kafka.topics',
      };
    default:
      return {
        problem: `topic ${topic}, ${which}: ${said}`,
        fix: 'look at the brokers; sending is tried again for ever',
      };
  }
}

/** Why a request got no answer. */
export type ClientFailure = 'network' | 'timeout' | 'authentication' | 'tls' | 'closed';

/** A request that got no answer: nothing is known about what it carried. */
export class ClientError extends Error {
  readonly failure: ClientFailure;
  /** An error code of the protocol where there was an answer to a step before (metadata, producer id). */
  readonly kafkaCode: number | undefined;
  constructor(failure: ClientFailure, message: string, kafkaCode?: number) {
    super(message);
    this.failure = failure;
    this.kafkaCode = kafkaCode;
  }
}

/**
 * ILLEGAL_SASL_STATE. A broker that refuses a token says so in the exchange (RFC 7628 section 3.2.2), which the client libraries take for a
 * success; what they send next is answered with this.
 */
export const ILLEGAL_SASL_STATE = 34;

export function tokenRefused(): ClientError {
  return new ClientError(
    'authentication',
    'it does not take the token: it has expired, or is of somebody it does not know',
  );
}

/** Words for a cluster that cannot be reached. */
export function unreachableText(brokers: readonly string[], e: ClientError): ProblemText {
  const where = brokers.join(', ');
  switch (e.failure) {
    case 'authentication':
      return {
        problem: `Kafka at ${where} refuses our credentials (${e.message})`,
        fix: 'correct export.kafka.sasl: mechanism, username and password, or token',
      };
    case 'tls':
      return {
        problem: `no TLS connection to Kafka at ${where} (${e.message})`,
        fix: 'compare export.kafka.tls (ca, cert, key) with what the listener expects',
      };
    default:
      return {
        problem: `Kafka at ${where} does not answer (${e.message})`,
        fix: 'start the brokers, or correct export.kafka.brokers; events wait in the spool meanwhile',
      };
  }
}
