import { Command } from 'commander';
import { stringify } from 'yaml';
import { z } from 'zod';
import { MASK } from '../config/document.ts';
import { configSchema } from '../config/schema.ts';
import { type CliContext, configOf, print } from './context.ts';
import { importVerb } from './import.ts';
import { configOption, jsonOption, outputOption } from './options.ts';

/** The JSON Schema of the configuration file, made from the definitions that validate it. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any', target: 'draft-2020-12' }) as {
    properties: Record<string, { default?: unknown; description?: string }>;
  };
  // The default is each machine's own.
  const { node } = schema.properties;
  delete node.default;
  node.description = 'the name of this node; absent: the host name';
  return schema as Record<string, unknown>;
}

export function configVerb(ctx: CliContext): Command {
  const config = new Command('config').description('the configuration as it is understood, and its schema');
  config
    .command('print')
    .description(
      'print the configuration as a file with every default in place; secrets are left as the files and variables they come from, or masked',
    )
    .addOption(configOption())
    .addOption(outputOption())
    .action((o: { config?: string; output: string }) => {
      const { document } = configOf(ctx, o.config);
      const text = stringify(document, { lineWidth: 0 });
      const masked = text.includes(MASK) ? `# Secrets that stand in the file itself are masked: ${MASK}\n` : '';
      print(ctx, o, document, () => `${masked}${text}`);
    });
  config
    .command('schema')
    .description('print the JSON Schema of the configuration file')
    .addOption(jsonOption())
    .action(() => ctx.out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`));
  config.addCommand(importVerb(ctx));
  return config;
}
