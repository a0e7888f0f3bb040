import { Command } from 'commander';
import { systemClock } from '../core/clock.ts';
import type { LbView } from '../process/explain-vip.ts';
import { type CliContext, type CommonOptions, callInstance, print } from './context.ts';
import { lbText } from './lb-text.ts';
import { configOption, dataDirOption, outputOption } from './options.ts';

export function lbVerb(ctx: CliContext): Command {
  const lb = new Command('lb').description('the announcement of the VIPs by this node');
  const common = (c: Command): Command =>
    c.addOption(configOption()).addOption(dataDirOption()).addOption(outputOption());
  common(lb.command('status').description('grade, reasons, peers, and what each peer was really sent')).action(
    async (o: CommonOptions) => {
      const value = await callInstance(ctx, o, 'GET', '/api/v1/lb');
      print(ctx, o, value, () => lbText(value as LbView, systemClock.wallMs()));
    },
  );
  for (const verb of ['drain', 'undrain'] as const) {
    common(
      lb
        .command(verb)
        .description(
          verb === 'drain'
            ? 'announce worse, so that traffic moves to other nodes; then it is safe to stop'
            : 'announce fully again',
        ),
    ).action(async (o: CommonOptions) => {
      const value = await callInstance(ctx, o, 'POST', `/api/v1/lb/${verb}`);
      print(ctx, o, value, () =>
        verb === 'drain' ? 'draining: announced worse; `tidegate lb status` follows it' : 'no longer draining',
      );
    });
  }
  return lb;
}
