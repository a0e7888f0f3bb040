import { Command } from 'commander';
import { type AppliedTopic, applyTopics, planTopics, type TopicPlan } from '../export/kafka/topics.ts';
import { type CliContext, CliError, type CommonOptions, EXIT, print } from './context.ts';
import { kafkaOf } from './kafka.ts';
import { configOption, outputOption } from './options.ts';

export function topicsVerb(ctx: CliContext, exit: (code: number) => void): Command {
  const topics = new Command('topics').description('the topics there should be: partitions, replication, cleanup');
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
      .description('create what is missing, add partitions, end compaction; nothing is deleted or made smaller'),
  ).action(async (o: CommonOptions) => {
    const applied = await applyTopics(kafkaOf(ctx, o)).catch(failed);
    print(ctx, o, applied, () => applied.map(appliedLine).join('\n'));
    if (applied.some((t) => t.problem !== undefined)) exit(EXIT.failure);
  });
  return topics;
}

function planLine(t: TopicPlan): string {
  const todo: string[] = [];
  if (t.action === 'create')
    todo.push(`create with ${t.partitions.want} partitions, replication ${t.replication.want}`);
  else {
    if (t.action === 'add-partitions') todo.push(`add partitions: ${t.partitions.have} → ${t.partitions.want}`);
    for (const s of t.settings) todo.push(`set ${s.name}: ${s.have} → ${s.want}`);
  }
  const what = todo.length === 0 ? `ok, ${t.partitions.have} partitions` : todo.join('; ');
  return [`${t.topic}: ${what}`, ...t.notes.map((n) => `    ${n}`)].join('\n');
}

function appliedLine(t: AppliedTopic): string {
  if (t.problem !== undefined) return `${t.topic}: FAILED: ${t.problem}`;
  const done: string[] = [];
  if (t.action === 'create') done.push('created');
  else {
    if (t.action === 'add-partitions') done.push('partitions added');
    for (const s of t.settings) done.push(`${s.name} set to ${s.want}`);
  }
  return [`${t.topic}: ${done.join(', ') || 'was there'}`, ...t.notes.map((n) => `    ${n}`)].join('\n');
}
