/** argv → verb. Each verb stands in its own file; exit codes: 0 done, 1 failure, 64 bad arguments, 78 bad configuration. */
import { Command, CommanderError } from 'commander';
import { disableNative } from '../net/native.ts';
import { auditVerb } from './audit.ts';
import { checkVerb } from './check.ts';
import { configVerb } from './config.ts';
import { type CliContext, CliError, EXIT } from './context.ts';
import { decodeVerb } from './decode.ts';
import { explainVerb } from './explain.ts';
import { lbVerb } from './lb.ts';
import { mibVerb } from './mib.ts';
import { runVerb } from './run.ts';
import { sendVerb } from './send.ts';
import { spoolVerb } from './spool.ts';
import { statusVerb } from './status.ts';
import { tapVerb } from './tap.ts';
import { topicsVerb } from './topics.ts';
import { VERSION, versionVerb } from './version.ts';

/** Runs one verb; returns the exit code. `run` returns when the instance has stopped. */
export async function main(argv: string[], env: Record<string, string | undefined>): Promise<number> {
  const ctx: CliContext = {
    env,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    tty: process.stdout.isTTY === true,
  };
  // For tests, and to find out whether the add-on is to blame for something.
  if (env.TIDEGATE_NO_NATIVE === '1') disableNative('TIDEGATE_NO_NATIVE=1 is set');
  // A reader that goes away (`| head`) ends the verb quietly.
  process.stdout.on('error', (e: NodeJS.ErrnoException) => {
    if (ctx.onOutputGone) ctx.onOutputGone();
    else if (e.code === 'EPIPE') process.exit(EXIT.ok);
  });
  let exit: number = EXIT.ok;
  const set = (code: number): void => {
    exit = code;
  };
  const program = new Command('tidegate')
    .description(
      'Telco ingress: SNMP traps, BMP, BGP and gNMI behind one VIP that announces itself, spooled durably, published to Kafka at least once.',
    )
    .version(VERSION)
    .showHelpAfterError('(try: tidegate VERB --help)')
    .exitOverride()
    .configureOutput({ writeOut: ctx.out, writeErr: ctx.err })
    .addHelpText('before', 'Example: tidegate run -c tidegate.yaml\n');
  for (const verb of [
    runVerb,
    checkVerb,
    statusVerb,
    explainVerb,
    tapVerb,
    decodeVerb,
    sendVerb,
    spoolVerb,
    auditVerb,
    topicsVerb,
    lbVerb,
    mibVerb,
    configVerb,
    versionVerb,
  ])
    program.addCommand(verb(ctx, set));
  inherit(program);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exit;
  } catch (e) {
    if (e instanceof CommanderError) return e.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (e instanceof CliError) {
      ctx.err(`${e.message}\n`);
      return e.exit;
    }
    ctx.err(`tidegate: ${(e as Error).stack ?? e}\n`);
    return EXIT.failure;
  }
}

/** Settings a sub-command does not take over by itself. */
function inherit(command: Command): void {
  for (const sub of command.commands) {
    sub.exitOverride();
    sub.configureOutput(command.configureOutput());
    inherit(sub);
  }
}
