import { Command } from 'commander';
import { type AppliedTopic, applyTopics, planTopics, type TopicPlan } from '../export/kafka/topics.ts';
import { type CliContext, CliError, type CommonOptions, EXIT, print } from './context.ts';
import { kafkaOf } from './kafka.ts';
import { configOption, outputOption } from './options.ts';

export function topicsVerb(ctx: CliContext, exit: (code: number) => void): Command {
  const topics = new Command('topics').description('the topics there should be: partitions, replication');
  const common = (c: Command): Command => c.addOption(configOption()).addOption(outputOption());
  const failed = (e: Error): never => {
    throw new CliError(e.message, EXIT.failure);
  };
  common(topics.command('plan').description('compare with the cluster; nothing is changed')).action(
    async (o: CommonOptions) => {
      const plan = await planTopics(kafkaOf(ctx, o)).catch(failed);
      print(ctx, o, plan, () => plan.map(planLine).join('\n'));
    },
  );
  common(
    topics
      .command('apply')
      .description('create what is missing and add partitions; nothing is deleted or made smaller'),
  ).action(async (o: CommonOptions) => {
    const applied = await applyTopics(kafkaOf(ctx, o)).catch(failed);
    print(ctx, o, applied, () => applied.map(appliedLine).join('\n'));
    if (applied.some((t) => t.problem !== undefined)) exit(EXIT.failure);
  });
  return topics;
}

function planLine(t: TopicPlan): string {
  const what =
    t.action === 'none'
      ? `ok, ${t.partitions.have} partitions`
      : t.action === 'create'
        ? `create with ${t.partitions.want} partitions, replication ${t.replication.want}`
        : `add partitions: ${t.partitions.have} → ${t.partitions.want}`;
  return [`${t.topic}: ${what}`, ...t.notes.map((n) => `    ${n}`)].join('\n');
}

function appliedLine(t: AppliedTopic): string {
  if (t.problem !== undefined) return `${t.topic}: FAILED: ${t.problem}`;
  const done = t.action === 'none' ? 'was there' : t.action === 'create' ? 'created' : 'partitions added';
  return [`${t.topic}: ${done}`, ...t.notes.map((n) => `    ${n}`)].join('\n');
}
