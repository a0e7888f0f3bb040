import { Command } from 'commander';
import { checkHost } from '../process/check.ts';
import { type CliContext, configOf, EXIT, print } from './context.ts';
import { configOption, outputOption } from './options.ts';

export function checkVerb(ctx: CliContext, exit: (code: number) => void): Command {
  return new Command('check')
    .description('check the configuration; with --connect also sockets, brokers, topics, permissions and peers')
    .addOption(configOption())
    .addOption(outputOption())
    .option('--connect', 'try what the configuration names')
    .action(async (o: { config?: string; output: string; connect?: boolean }) => {
      const { config, inventory } = configOf(ctx, o.config);
      const findings = await checkHost(config, inventory.length, o.connect === true);
      const problems = findings.filter((f) => f.severity === 'problem');
      print(ctx, o, { ok: problems.length === 0, findings }, () =>
        [
          `${o.config ?? 'built-in configuration'}: valid`,
          ...findings.map(
            (f) =>
              `${f.severity === 'problem' ? '!' : f.severity === 'note' ? '-' : '✓'} ${f.what}${f.fix === undefined ? '' : `\n    fix: ${f.fix}`}`,
          ),
        ].join('\n'),
      );
      if (problems.length > 0) exit(EXIT.failure);
    });
}
