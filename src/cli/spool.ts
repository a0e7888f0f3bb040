import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { formatSize } from '../core/units.ts';
import { EVENT_CLASSES, EVENT_TYPES } from '../event/types.ts';
import { SpoolFormatError } from '../spool/errors.ts';
import { exportSpool, isEventClass, type LeftOut, listSpool, verifySpool } from '../spool/tools.ts';
import { type CliContext, CliError, type CommonOptions, configOf, EXIT, print } from './context.ts';
import { configOption, count, dataDirOption, jsonOption, outputOption } from './options.ts';

export function spoolVerb(ctx: CliContext, exit: (code: number) => void): Command {
  const spool = new Command('spool').description('read the spool on disk; an instance may be running');
  const common = (c: Command): Command => c.addOption(configOption()).addOption(dataDirOption());
  common(spool.command('ls').description('list the segments'))
    .addOption(outputOption())
    .action((o: CommonOptions) => {
      const segments = guarded(() => listSpool(spoolDir(ctx, o)));
      print(ctx, o, segments, () =>
        [
          'GENERATION  WORKER  CLASS    SEGMENT       SIZE  RECORDS',
          ...segments.map(
            (s) =>
              `${String(s.generation).padEnd(10)}  ${String(s.worker).padEnd(6)}  ${s.class.padEnd(7)}  ${String(s.segment).padStart(7)} ${formatSize(s.bytes).padStart(10)}  ${s.records ?? 'open'}`,
          ),
        ].join('\n'),
      );
    });
  common(spool.command('verify').description('read every record; exit 1 where bytes are not what was written'))
    .addOption(outputOption())
    .action((o: CommonOptions) => {
      const r = guarded(() => verifySpool(spoolDir(ctx, o)));
      print(ctx, o, r, () =>
        [
          `${r.segments} segments, ${r.records} records, ${r.torn} torn, ${r.damaged} damaged`,
          ...r.problems.map((p) => `${p.kind}: ${p.path} at ${p.offset}, ${p.length} bytes, ${p.records} records`),
        ].join('\n'),
      );
      if (r.damaged > 0) exit(EXIT.failure);
    });
  common(
    spool
      .command('export')
      .description('print the spooled events, one JSON object a line; exit 1 where records could not be read'),
  )
    .addOption(jsonOption())
    .option('--type <type>', 'only this event type')
    .option('--class <class>', `only this class: ${EVENT_CLASSES.join(', ')}`)
    .option('--device <id>', 'only this device id')
    .option('--limit <n>', 'at most so many', count)
    .action((o: CommonOptions & { type?: string; class?: string; device?: string; limit?: number }) => {
      const type = EVENT_TYPES.find((t) => t.type === o.type)?.type;
      if (o.type !== undefined && !type)
        throw new CliError(`--type ${o.type}: allowed: ${EVENT_TYPES.map((t) => t.type).join(', ')}`, EXIT.usage);
      if (o.class !== undefined && !isEventClass(o.class))
        throw new CliError(`--class ${o.class}: allowed: ${EVENT_CLASSES.join(', ')}`, EXIT.usage);
      const { config } = configOf(ctx, o.config);
      const leftOut = (l: LeftOut): void => {
        const what = l.records === 1 ? '1 record' : `${l.records} records`;
        ctx.err(`damaged: ${l.path} at ${l.offset}, ${l.length} bytes: ${what} left out\n`);
        exit(EXIT.failure);
      };
      guarded(() => {
        for (const line of exportSpool(
          spoolDir(ctx, o),
          { type, class: o.class as never, device: o.device, limit: o.limit },
          config.node,
          leftOut,
        ))
          ctx.out(`${line}\n`);
      });
    });
  return spool;
}

function spoolDir(ctx: CliContext, o: CommonOptions): string {
  return join(resolve(o.dataDir ?? configOf(ctx, o.config).config.data_dir), 'spool');
}

function guarded<T>(fn: () => T): T {
  try {
    return fn();
  } catch (e) {
    if (e instanceof SpoolFormatError) throw new CliError(e.message, EXIT.failure);
    throw e;
  }
}
