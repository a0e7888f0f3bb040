import { Command } from 'commander';
import { formatAudit } from '../export/audit.ts';
import { formatHeartbeats } from '../export/heartbeats.ts';
import { auditHeartbeats, auditKafka } from '../export/kafka/reader.ts';
import { type CliContext, CliError, type CommonOptions, EXIT, print } from './context.ts';
import { kafkaOf } from './kafka.ts';
import { configOption, outputOption } from './options.ts';

export function auditVerb(ctx: CliContext, exit: (code: number) => void): Command {
  return new Command('audit')
    .description('prove from the topics alone that nothing is missing, or name what is (exit 1)')
    .addOption(configOption())
    .addOption(outputOption())
    .option('--kafka', 'read the topics of export.kafka')
    .option('--heartbeats', 'of the heartbeats in snmp.trap.v1 alone: which numbers are missing')
    .action(async (o: CommonOptions & { kafka?: boolean; heartbeats?: boolean }) => {
      if (!o.kafka) throw new CliError('audit needs to know what to read: tidegate audit --kafka -c FILE', EXIT.usage);
      if (o.heartbeats) {
        const found = await auditHeartbeats(kafkaOf(ctx, o)).catch((e: Error) => {
          throw new CliError(e.message, EXIT.failure);
        });
        print(ctx, o, found, () => formatHeartbeats(found.heartbeats));
        if (found.unread.length > 0 || found.heartbeats.some((h) => h.missing > 0)) exit(EXIT.failure);
        return;
      }
      const report = await auditKafka(kafkaOf(ctx, o)).catch((e: Error) => {
        throw new CliError(e.message, EXIT.failure);
      });
      print(ctx, o, report, () => formatAudit(report));
      if (!report.clean) exit(EXIT.failure);
    });
}
