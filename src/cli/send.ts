import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { sampleSession } from '../codec/bmp/describe.ts';
import { buildTrap } from '../codec/snmp/describe.ts';
import { HEARTBEAT_OIDS, HEARTBEAT_TRAP } from '../collectors/snmp-trap/heartbeat.ts';
import { systemClock } from '../core/clock.ts';
import { parseEndpoint } from '../core/ip.ts';
import { parseDuration } from '../core/units.ts';
import { sendBmp, sendTrap } from '../net/send.ts';
import { type CliContext, CliError, EXIT } from './context.ts';
import { count } from './options.ts';

interface TrapOptions {
  to: string;
  community: string;
  oid: string;
  inform?: boolean;
  heartbeat?: boolean;
  every: string;
  count: number;
  name: string;
}

/** One run: numbers from 1 on. */
async function heartbeats(ctx: CliContext, o: TrapOptions, to: { address: string; port: number }): Promise<void> {
  const interval = parseDuration(o.every);
  if (interval === undefined) throw new CliError(`${o.every}: must be a duration such as 1s`, EXIT.usage);
  const began = systemClock.wallMs();
  const run = Math.floor(began / 1000);
  for (let sequence = 1; sequence <= o.count; sequence++) {
    const packet = buildTrap({
      version: 'v2c',
      community: o.community,
      trapOid: HEARTBEAT_TRAP,
      uptime: Math.floor((systemClock.wallMs() - began) / 10),
      requestId: sequence,
      varbinds: [
        { oid: HEARTBEAT_OIDS.sender, type: 'octet-string', value: Buffer.from(o.name) },
        { oid: HEARTBEAT_OIDS.run, type: 'gauge32', value: run },
        { oid: HEARTBEAT_OIDS.sequence, type: 'gauge32', value: sequence },
        { oid: HEARTBEAT_OIDS.interval, type: 'gauge32', value: Math.round(interval) },
      ],
    });
    await sendTrap(packet, to.address, to.port, false);
    if (sequence < o.count) await new Promise<void>((done) => systemClock.setTimeout(done, interval));
  }
  ctx.out(`${o.count} heartbeats of ${o.name} sent to ${o.to}, counting since ${run}\n`);
}

export function sendVerb(ctx: CliContext): Command {
  const send = new Command('send').description('send a test message');
  send
    .command('trap')
    .description('send a linkDown notification')
    .addOption(new Option('--to <address:port>', 'where to').default('127.0.0.1:1162'))
    .option('--community <name>', 'community', 'public')
    .option('--oid <oid>', 'snmpTrapOID', '1.3.6.1.6.3.1.1.5.3')
    .option('--inform', 'send an inform and wait for its Response')
    .option('--heartbeat', 'send numbered heartbeats, so that `audit --kafka --heartbeats` can say what was lost')
    .addOption(new Option('--every <duration>', 'of heartbeats').default('1s'))
    .addOption(new Option('--count <n>', 'of heartbeats').argParser(count).default(60))
    .addOption(new Option('--name <name>', 'of the sender of heartbeats').default(hostname()))
    .action(async (o: TrapOptions) => {
      const to = endpoint(o.to);
      if (o.heartbeat) {
        await heartbeats(ctx, o, to);
        return;
      }
      const packet = buildTrap({
        version: 'v2c',
        community: o.community,
        trapOid: o.oid,
        uptime: 4242,
        inform: o.inform === true,
        varbinds: [
          { oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: 7 },
          { oid: '1.3.6.1.2.1.2.2.1.7.7', type: 'integer32', value: 1 },
          { oid: '1.3.6.1.2.1.2.2.1.8.7', type: 'integer32', value: 2 },
        ],
      });
      const answered = await sendTrap(packet, to.address, to.port, o.inform === true);
      if (o.inform && !answered)
        throw new CliError(`no Response from ${o.to} within 5 s: see \`tidegate explain 127.0.0.1\``, EXIT.failure);
      ctx.out(`${o.inform ? 'inform acknowledged by' : 'trap sent to'} ${o.to}\n`);
    });
  send
    .command('bmp')
    .description('open a BMP session, say one peer up with one route, and close it properly')
    .addOption(new Option('--to <address:port>', 'where to').default('127.0.0.1:11019'))
    .action(async (o: { to: string }) => {
      const to = endpoint(o.to);
      const problem = await sendBmp(sampleSession(), to.address, to.port);
      if (problem !== undefined) throw new CliError(`${o.to}: ${problem}`, EXIT.failure);
      ctx.out(`BMP session sent to ${o.to}\n`);
    });
  return send;
}

function endpoint(text: string): { address: string; port: number } {
  const e = parseEndpoint(text);
  if (!e) throw new CliError(`${text}: must be ADDR:PORT such as 127.0.0.1:1162, or [V6]:PORT`, EXIT.usage);
  return e;
}
