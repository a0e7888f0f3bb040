/** `check --connect` for Kafka: can every event be written? Clear sentences with what to do. */
import type { KafkaAdmin } from './client.ts';
import type { KafkaConfig } from './config.ts';
import { type ClientError, meaningOf, problemText, unreachableText } from './errors.ts';
import { makeAdmin } from './make-client.ts';
import { comparePlan, wantedTopics } from './topics.ts';

export interface Finding {
  severity: 'ok' | 'note' | 'problem';
  what: string;
  fix?: string;
}

/** AclOperation WRITE. */
const WRITE = 1 << 4;

export async function checkKafka(name: string, config: KafkaConfig): Promise<Finding[]> {
  const admin = makeAdmin({ ...config, request_timeout: Math.min(config.request_timeout, 5000) }, 'check');
  try {
    return [...clientNotes(name, config), ...(await look(name, config, admin))];
  } catch (e) {
    const { problem, fix } = unreachableText(config.brokers, e as ClientError);
    return [{ severity: 'problem', what: `export.${name}: ${problem}`, fix }];
  } finally {
    await admin.close();
  }
}

function clientNotes(name: string, config: KafkaConfig): Finding[] {
  if (config.client !== 'kafkajs') return [];
  return [
    {
      severity: 'note',
      what: `export.${name}: the client kafkajs is no longer maintained, needs three times the CPU, and does not say which record of a batch a broker refuses`,
      fix: 'leave `client` out, unless the default client does not work with your brokers',
    },
  ];
}

async function look(name: string, config: KafkaConfig, admin: KafkaAdmin): Promise<Finding[]> {
  const out: Finding[] = [];
  const wanted = [...wantedTopics(config).keys()];
  const metadata = await admin.metadata(wanted);
  out.push({
    severity: 'ok',
    what: `export.${name}: Kafka answers, ${metadata.brokers.length} broker${metadata.brokers.length === 1 ? '' : 's'}`,
  });
  const missing: string[] = [];
  for (const t of metadata.topics) {
    const { outcome } = meaningOf(t.error);
    if (outcome === 'topic-missing') {
      missing.push(t.name);
      continue;
    }
    if (t.error !== 0) {
      const text = problemText(t.error, t.name, [], undefined);
      out.push({ severity: 'problem', what: `export.${name}: ${text.problem}`, fix: text.fix });
      continue;
    }
    if (t.operations !== undefined && (t.operations & WRITE) === 0) {
      const text = problemText(29, t.name, [], undefined);
      out.push({ severity: 'problem', what: `export.${name}: ${text.problem}`, fix: text.fix });
    }
    const leaderless = t.partitions.filter((p) => p.leader < 0).map((p) => p.id);
    if (leaderless.length > 0) {
      const text = problemText(5, t.name, leaderless, undefined);
      out.push({ severity: 'problem', what: `export.${name}: ${text.problem}`, fix: text.fix });
    }
  }
  if (missing.length > 0)
    out.push({
      severity: 'problem',
      what: `export.${name}: ${missing.length === 1 ? 'this topic does' : 'these topics do'} not exist: ${missing.join(', ')}`,
      fix: '`tidegate topics apply` creates what is missing, or name other topics under export.kafka.topics',
    });
  const readable = metadata.topics.filter((t) => t.error === 0).map((t) => t.name);
  const settings =
    readable.length > 0
      ? await admin.topicSettings(readable, ['min.insync.replicas', 'max.message.bytes', 'cleanup.policy'])
      : new Map<string, Record<string, string>>();
  for (const p of comparePlan(config, metadata, settings)) {
    if (p.action === 'create') continue;
    for (const s of p.settings)
      out.push({
        severity: 'note',
        what: `export.${name}: topic ${p.topic}: ${s.name} is ${s.have}: only the last event of each key stays`,
        fix: `\`tidegate topics apply\` sets ${s.name} to ${s.want}`,
      });
    for (const note of p.notes)
      out.push({
        severity: note.includes('nothing can be written') ? 'problem' : 'note',
        what: `export.${name}: topic ${p.topic}: ${note}`,
        fix: 'correct the topic with kafka-configs, or see `tidegate topics plan`',
      });
  }
  if (!out.some((f) => f.severity === 'problem'))
    out.push({ severity: 'ok', what: `export.${name}: all ${wanted.length} topics exist and can be written` });
  return out;
}
