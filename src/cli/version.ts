import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { loadNative, nativeProblem } from '../net/native.ts';
import { type CliContext, print } from './context.ts';
import { outputOption } from './options.ts';

/** The version of package.json, which stands beside both src/ and dist/. */
export const VERSION: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;

export function versionVerb(ctx: CliContext): Command {
  return new Command('version')
    .description('print the version, the runtime and whether the native add-on is loaded')
    .addOption(outputOption())
    .action((o: { output: string }) => {
      const native = loadNative() !== undefined;
      const v = {
        version: VERSION,
        node: process.versions.node,
        platform: `${process.platform}-${process.arch}`,
        native,
        native_problem: nativeProblem(),
      };
      print(
        ctx,
        o,
        v,
        () =>
          `tidegate ${v.version}\nnode ${v.node} ${v.platform}\nnative add-on ${native ? 'loaded' : `missing: ${v.native_problem}`}`,
      );
    });
}
