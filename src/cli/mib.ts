import { readFileSync, writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { compileMibFiles } from '../config/mib-files.ts';
import { formatSize } from '../core/units.ts';
import { Names } from '../mib/names.ts';
import { type Translation, translate } from '../mib/translate.ts';
import { formatMibProblem } from '../process/mibs.ts';
import { type CliContext, CliError, EXIT, print } from './context.ts';
import { type MibOptions, mibsOption, tableOf } from './mib-table.ts';
import { configOption, outputOption } from './options.ts';

type Options = MibOptions & { output: string };

export function mibVerb(ctx: CliContext, exit: (code: number) => void): Command {
  const mib = new Command('mib').description('compile MIB modules, list them, translate OIDs and names');
  mib
    .command('compile')
    .description('compile folders and files of modules, and the built-in facts, into one table')
    .argument('<paths...>', 'folders, files, or compiled tables')
    .requiredOption('-o, --output <file>', 'where the table is written')
    .addOption(new Option('--json', 'print what was compiled as JSON'))
    .action((paths: string[], o: { output: string; json?: boolean }) => {
      const c = compileMibFiles(paths);
      try {
        writeFileSync(o.output, c.table);
      } catch (e) {
        throw new CliError(`${o.output}: ${(e as Error).message}`, EXIT.failure);
      }
      const { table, ...rest } = c;
      print(ctx, { output: o.json ? 'json' : 'text' }, { ...rest, bytes: table.length, output: o.output }, () =>
        [
          ...c.problems.map((p) => `! ${formatMibProblem(p)}`),
          `${c.modules.length} modules of ${c.files} files, ${c.nodes} nodes, ${c.problems.length} problems: ${o.output}, ${formatSize(table.length)}`,
        ].join('\n'),
      );
      if (c.modules.length === 0) exit(EXIT.failure);
    });
  mib
    .command('ls')
    .description('list the modules and how many names each has')
    .addOption(configOption())
    .addOption(mibsOption())
    .addOption(outputOption())
    .action((o: Options) => {
      const { table, problems } = tableOf(ctx, o);
      const counts = new Map<string, { nodes: number; notifications: number }>();
      for (let i = 1; i < table.size; i++) {
        const name = table.moduleOf(i);
        if (name === '' || !table.hasName(i)) continue;
        const c = counts.get(name) ?? { nodes: 0, notifications: 0 };
        counts.set(name, c);
        c.nodes++;
        if (table.kind(i) === 'notification') c.notifications++;
      }
      const modules = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, c]) => ({ name, ...c }));
      print(ctx, o, { modules, problems }, () =>
        [
          'MODULE                                    NAMES  NOTIFICATIONS',
          ...modules.map((m) => `${m.name.padEnd(40)} ${String(m.nodes).padStart(6)}  ${m.notifications}`),
          ...problems.map((p) => `! ${formatMibProblem(p)}`),
        ].join('\n'),
      );
    });
  mib
    .command('translate')
    .description('an OID as a name, a name as an OID; exit 1 where one cannot be translated')
    .argument(
      '<oid-or-name...>',
      '1.3.6.1.2.1.2.2.1.8.7, IF-MIB::ifOperStatus.7, ifOperStatus; - reads lines from standard input',
    )
    .addOption(configOption())
    .addOption(mibsOption())
    .addOption(outputOption())
    .action((texts: string[], o: Options) => {
      const names = new Names(tableOf(ctx, o).table);
      const wanted = texts.flatMap((t) => (t === '-' ? readFileSync(0, 'utf8').split('\n').filter(Boolean) : [t]));
      for (const text of wanted) {
        const t = translate(names, text.trim());
        if (typeof t === 'string') {
          exit(EXIT.failure);
          if (o.output === 'json') ctx.out(`${JSON.stringify({ input: text, problem: t })}\n`);
          else ctx.err(`${text}: ${t}\n`);
        } else print(ctx, o, { input: text, ...t }, () => translationText(text, t));
      }
    });
  return mib;
}

/** The other side of what was asked. */
function translationText(asked: string, t: Translation): string {
  return /^\.?[0-2](\.\d+)*$/.test(asked) ? t.name : t.oid;
}
