import { Command } from 'commander';
import { follow } from '../admin/client.ts';
import { adminSocket, type CliContext, type CommonOptions, notRunning } from './context.ts';
import { configOption, count, dataDirOption, jsonOption } from './options.ts';

export function tapVerb(ctx: CliContext): Command {
  return new Command('tap')
    .description('follow the events of a running instance, one JSON object a line')
    .addOption(configOption())
    .addOption(dataDirOption())
    .addOption(jsonOption())
    .option('--type <type>', 'only this event type; may end in *, as in bmp.*')
    .option('--device <device>', 'only this device: id, name or address')
    .option('--count <n>', 'end after this many events', count)
    .action(async (o: CommonOptions & { type?: string; device?: string; count?: number }) => {
      const query = new URLSearchParams();
      if (o.type !== undefined) query.set('type', o.type);
      if (o.device !== undefined) query.set('device', o.device);
      let seen = 0;
      const f = follow(adminSocket(ctx, o), `/api/v1/tap?${query}`, (line) => {
        if (o.count !== undefined && seen >= o.count) return;
        ctx.out(`${line}\n`);
        if (++seen === o.count) f.stop();
      });
      await f.ended.catch(notRunning);
    });
}
