import { Command } from 'commander';
import type { Explanation } from '../process/explain.ts';
import { type CliContext, type CommonOptions, callInstance, print } from './context.ts';
import { configOption, dataDirOption, outputOption } from './options.ts';

export function explainVerb(ctx: CliContext): Command {
  return new Command('explain')
    .description('why nothing arrives from a device: cause and fix, from its socket to Kafka')
    .argument('<device>', 'device id, name or address')
    .addOption(configOption())
    .addOption(dataDirOption())
    .addOption(outputOption())
    .action(async (device: string, o: CommonOptions) => {
      const value = (await callInstance(
        ctx,
        o,
        'GET',
        `/api/v1/explain?device=${encodeURIComponent(device)}`,
      )) as Explanation;
      print(ctx, o, value, () => explanationText(value));
    });
}

function explanationText(e: Explanation): string {
  const lines = [
    `${e.device}${e.known.length ? `: ${e.known.map((k) => (k.id === k.name ? k.id : `${k.id} (${k.name})`)).join(', ')}` : ''}`,
  ];
  for (const f of e.findings) {
    const mark = f.severity === 'problem' ? '!' : f.severity === 'note' ? '-' : '✓';
    lines.push(
      `${mark} ${f.at}: ${f.cause}${f.count === undefined ? '' : ` [${f.count}×${f.last ? `, last ${f.last}` : ''}]`}`,
    );
    if (f.fix !== undefined) lines.push(`    fix: ${f.fix}`);
  }
  return lines.join('\n');
}
