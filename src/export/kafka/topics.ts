/** `tidegate topics plan|apply`: what there should be, what there is, and how to get from one to the other. Nothing is ever deleted or made smaller. */
import { EVENT_TYPES, type EventType } from '../../event/types.ts';
import type { ClusterMetadata, KafkaAdmin, TopicMetadata } from './client.ts';
import { type KafkaConfig, topicOf } from './config.ts';
import { type ClientError, meaningOf, unreachableText } from './errors.ts';
import { makeAdmin } from './make-client.ts';

export interface TopicPlan {
  topic: string;
  types: EventType[];
  /** What `apply` does first; settings are set besides, whatever it is. */
  action: 'none' | 'create' | 'add-partitions' | 'set-config';
  partitions: { have: number; want: number };
  replication: { have: number; want: number };
  /** What is to be set. `have` is undefined where the topic does not exist. */
  settings: { name: string; have: string | undefined; want: string }[];
  /** What differs and is left to the operator. */
  notes: string[];
}

export interface AppliedTopic extends TopicPlan {
  /** Undefined where it was done (or nothing was to do). */
  problem: string | undefined;
}

/**
 * Every topic keeps its events until they are old. A compacted one would keep the last event of a key and lose those before it, so that is never
 * left to the broker's default; none of the types is a table of states.
 */
const CLEANUP = 'delete';

/** The types by topic: two types may share one by configuration. */
export function wantedTopics(config: KafkaConfig): Map<string, EventType[]> {
  const out = new Map<string, EventType[]>();
  for (const { type } of EVENT_TYPES) {
    const topic = topicOf(config, type);
    out.set(topic, [...(out.get(topic) ?? []), type]);
  }
  return out;
}

/** Pure. `settings` as far as we may see them. */
export function comparePlan(
  config: KafkaConfig,
  metadata: ClusterMetadata,
  settings: Map<string, Record<string, string>>,
): TopicPlan[] {
  const brokers = Math.max(1, metadata.brokers.length);
  const replication = Math.min(config.replication, brokers);
  return [...wantedTopics(config)].map(([topic, types]) => {
    const found = metadata.topics.find((t) => t.name === topic);
    const plan: TopicPlan = {
      topic,
      types,
      action: 'none',
      partitions: { have: 0, want: config.partitions },
      replication: { have: 0, want: replication },
      settings: [],
      notes: [],
    };
    if (!found || meaningOf(found.error).outcome === 'topic-missing') {
      plan.action = 'create';
      plan.settings.push({ name: 'cleanup.policy', have: undefined, want: CLEANUP });
      if (replication < config.replication)
        plan.notes.push(
          `replication ${replication} instead of ${config.replication}: there are only ${brokers} brokers`,
        );
      return plan;
    }
    if (found.error !== 0) {
      plan.notes.push(`cannot be looked at: ${meaningOf(found.error).name}`);
      return plan;
    }
    plan.partitions.have = found.partitions.length;
    plan.replication.have = Math.min(...found.partitions.map((p) => p.replicas.length));
    if (plan.partitions.have < config.partitions) {
      plan.action = 'add-partitions';
      plan.notes.push(
        'with other partitions keys move: across the change the order of a device is not kept for consumers',
      );
    }
    if (plan.replication.have < replication)
      plan.notes.push(
        `replication is ${plan.replication.have}, wanted ${replication}: ${howToReplicate(found, metadata, replication)}`,
      );
    const s = settings.get(topic);
    const insync = Number(s?.['min.insync.replicas'] ?? Number.NaN);
    if (insync > plan.replication.have)
      plan.notes.push(
        `min.insync.replicas ${insync} is more than its ${plan.replication.have} replicas: nothing can be written`,
      );
    const max = Number(s?.['max.message.bytes'] ?? Number.NaN);
    if (max < config.batch_bytes)
      plan.notes.push(
        `max.message.bytes ${max} is below batch_bytes ${config.batch_bytes}: batches that do not compress are sent again in halves`,
      );
    const cleanup = s?.['cleanup.policy'];
    if (cleanup?.includes('compact')) {
      plan.settings.push({ name: 'cleanup.policy', have: cleanup, want: CLEANUP });
      if (plan.action === 'none') plan.action = 'set-config';
    }
    return plan;
  });
}

/** Moving replicas loads the cluster, so it stays the operator's: with Kafka's own tool, and a file to begin with. */
function howToReplicate(topic: TopicMetadata, metadata: ClusterMetadata, replication: number): string {
  const ids = metadata.brokers.map((b) => b.id).sort((a, b) => a - b);
  const partitions = topic.partitions.map((p, i) => {
    // Those it has stay; the others come in turn, so that not all go to one broker.
    const others = ids.map((_, k) => ids[(i + k) % ids.length]).filter((id) => !p.replicas.includes(id));
    return { topic: topic.name, partition: p.id, replicas: [...p.replicas, ...others].slice(0, replication) };
  });
  const file = JSON.stringify({ version: 1, partitions });
  return `kafka-reassign-partitions.sh --bootstrap-server BROKER --execute --reassignment-json-file FILE, FILE being ${file}`;
}

async function look(config: KafkaConfig, admin: KafkaAdmin): Promise<TopicPlan[]> {
  const names = [...wantedTopics(config).keys()];
  const metadata = await admin.metadata(names);
  const existing = metadata.topics.filter((t) => t.error === 0).map((t) => t.name);
  const keys = ['min.insync.replicas', 'max.message.bytes', 'cleanup.policy'];
  const settings = existing.length > 0 ? await admin.topicSettings(existing, keys) : new Map();
  return comparePlan(config, metadata, settings);
}

/** Throws an Error with words for the operator where the cluster does not answer. */
async function withAdmin<T>(config: KafkaConfig, use: (admin: KafkaAdmin) => Promise<T>): Promise<T> {
  const admin = makeAdmin(config);
  try {
    return await use(admin);
  } catch (e) {
    const { problem, fix } = unreachableText(config.brokers, e as ClientError);
    throw new Error(`${problem}: ${fix}`);
  } finally {
    await admin.close();
  }
}

export function planTopics(config: KafkaConfig): Promise<TopicPlan[]> {
  return withAdmin(config, (admin) => look(config, admin));
}

/** Creates what is missing, adds partitions and sets what is to be set; the answer says for each topic what became of it. */
export function applyTopics(config: KafkaConfig): Promise<AppliedTopic[]> {
  return withAdmin(config, async (admin) => {
    const plan = await look(config, admin);
    const create = plan.filter((p) => p.action === 'create');
    const grow = plan.filter((p) => p.action === 'add-partitions');
    const problems = new Map<string, string>();
    const note = (answers: { name: string; error: number; message?: string }[], acl: string) => {
      for (const a of answers) {
        // 36: somebody else was faster.
        if (a.error === 0 || a.error === 36) continue;
        const { name, outcome } = meaningOf(a.error);
        const fix = outcome === 'denied' ? `: give our principal the ACL ${acl}` : '';
        problems.set(a.name, `${name}${a.message ? `: ${a.message}` : ''}${fix}`);
      }
    };
    const set = plan.filter((p) => p.action !== 'create' && p.settings.length > 0);
    if (create.length > 0)
      note(
        await admin.createTopics(
          create.map((p) => ({
            name: p.topic,
            partitions: p.partitions.want,
            replication: p.replication.want,
            settings: settingsOf(p),
          })),
        ),
        'Create on the cluster or the topic',
      );
    if (grow.length > 0)
      note(
        await admin.createPartitions(grow.map((p) => ({ name: p.topic, count: p.partitions.want }))),
        'Alter on the topic',
      );
    if (set.length > 0)
      note(
        await admin.alterTopics(set.map((p) => ({ name: p.topic, settings: settingsOf(p) }))),
        'AlterConfigs on the topic',
      );
    return plan.map((p) => ({ ...p, problem: problems.get(p.topic) }));
  });
}

function settingsOf(p: TopicPlan): Record<string, string> {
  return Object.fromEntries(p.settings.map((s) => [s.name, s.want]));
}
