import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { STANDARD_INPUT } from '../config/load.ts';
import { watchChanges } from '../config/watch.ts';
import { systemClock } from '../core/clock.ts';
import { StartError } from '../process/start-error.ts';
import { Supervisor } from '../process/supervisor.ts';
import { makeLogger } from '../telemetry/log.ts';
import { type CliContext, CliError, configOf, EXIT } from './context.ts';
import { firstSteps } from './first-steps.ts';
import { configOption } from './options.ts';
import { VERSION } from './version.ts';

interface RunOptions {
  config?: string;
  role: 'all' | 'ingest' | 'speaker';
}

export function runVerb(ctx: CliContext, exit: (code: number) => void): Command {
  return new Command('run')
    .description('run an instance')
    .addOption(configOption())
    .addOption(
      new Option('--role <role>', 'which part to run; separate containers share data_dir')
        .choices(['all', 'ingest', 'speaker'])
        .default('all'),
    )
    .action(async (o: RunOptions) => {
      if (o.config === STANDARD_INPUT)
        throw new CliError('run: -c needs a file, which is followed while the instance runs', EXIT.usage);
      const { config, inventory, alarms, document, files } = configOf(ctx, o.config);
      // The instance changes its working directory to data_dir; the file stays where it was named.
      const configFile = o.config === undefined ? undefined : resolve(o.config);
      const logTty = process.stderr.isTTY === true;
      const log = makeLogger({ level: config.log.level, tty: logTty });
      // Whoever reads the events may go away; reception and Kafka go on.
      let nobodyReads = false;
      ctx.onOutputGone = () => {
        if (!nobodyReads) log.warn({}, 'nobody reads standard output any more: events are not printed from here on');
        nobodyReads = true;
      };
      const supervisor = new Supervisor({
        config,
        document,
        role: o.role,
        version: VERSION,
        clock: systemClock,
        log,
        logTty,
        outTty: ctx.tty,
        inventory,
        alarms,
        cores: availableParallelism(),
        memoryLimit: process.constrainedMemory(),
        print: (text, onDrain) => {
          if (nobodyReads) return true;
          if (process.stdout.write(text)) return true;
          process.stdout.once('drain', onDrain);
          return false;
        },
      });
      if (o.config === undefined && o.role === 'all')
        supervisor.onReady = (listening) => ctx.err(firstSteps(listening));
      const stop = (signal: string): void => {
        void supervisor.stop(`${signal} received`);
      };
      process.on('SIGTERM', () => stop('SIGTERM'));
      process.on('SIGINT', () => stop('SIGINT'));

      try {
        await supervisor.start();
      } catch (e) {
        if (e instanceof StartError) throw new CliError(e.message, e.exit);
        throw e;
      }
      const unwatch = watchChanges({
        configFile,
        config,
        document,
        files,
        env: ctx.env,
        log,
        supervisor,
        onReload: (fn) => process.on('SIGHUP', fn),
      });
      exit(await supervisor.done);
      unwatch();
      // Handles of a stopped instance (a follower of stdout, a keep-alive connection) must not keep the process.
      setImmediate(() => process.exit());
    });
}
