import { Command, Option } from 'commander';
import { sampleSession } from '../codec/bmp/describe.ts';
import { buildTrap } from '../codec/snmp/describe.ts';
import { parseEndpoint } from '../core/ip.ts';
import { sendBmp, sendTrap } from '../net/send.ts';
import { type CliContext, CliError, EXIT } from './context.ts';

export function sendVerb(ctx: CliContext): Command {
  const send = new Command('send').description('send a test message');
  send
    .command('trap')
    .description('send a linkDown notification')
    .addOption(new Option('--to <address:port>', 'where to').default('127.0.0.1:1162'))
    .option('--community <name>', 'community', 'public')
    .option('--oid <oid>', 'snmpTrapOID', '1.3.6.1.6.3.1.1.5.3')
    .option('--inform', 'send an inform and wait for its Response')
    .action(async (o: { to: string; community: string; oid: string; inform?: boolean }) => {
      const to = endpoint(o.to);
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
