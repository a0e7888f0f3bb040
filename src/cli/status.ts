import { Command } from 'commander';
import { systemClock } from '../core/clock.ts';
import { formatSize } from '../core/units.ts';
import type { LbView } from '../process/explain-vip.ts';
import { type FunnelRow, funnelText } from '../process/funnel.ts';
import type { WorkerStatus } from '../process/messages.ts';
import type { MibStatus } from '../process/mibs.ts';
import type { UserKeysStatus } from '../process/user-keys.ts';
import type { HistogramSummary } from '../telemetry/quantiles.ts';
import { type CliContext, type CommonOptions, callInstance, print } from './context.ts';
import { lbText } from './lb-text.ts';
import { configOption, dataDirOption, outputOption } from './options.ts';
import { collectorLines } from './status-collectors.ts';

export function statusVerb(ctx: CliContext): Command {
  return new Command('status')
    .description('the whole path of a running instance on one screen: sockets, sessions, spool, exporters, VIPs')
    .addOption(configOption())
    .addOption(dataDirOption())
    .addOption(outputOption())
    .action(async (o: CommonOptions) => {
      const value = (await callInstance(ctx, o, 'GET', '/api/v1/status')) as StatusView;
      print(ctx, o, value, () => statusText(value, systemClock.wallMs()));
    });
}

interface StatusView {
  version: string;
  site: string;
  node: string;
  pid: number;
  data_dir: string;
  native: { loaded: boolean; reason?: string };
  listening: { collector: string; address: string; network: string }[];
  ready: string[];
  workers: (WorkerStatus & { restarts: number })[];
  silent: string[];
  mibs?: MibStatus;
  user_keys?: UserKeysStatus;
  lb: LbView;
  funnel?: FunnelRow[];
  inform_ack?: HistogramSummary[];
  counters: Record<string, number>;
}

function statusText(s: StatusView, nowMs: number): string {
  const lines = [
    `tidegate ${s.version}  node ${s.node}  site ${s.site}  pid ${s.pid}`,
    `data_dir ${s.data_dir}`,
    s.ready.length === 0 ? 'ready' : `NOT READY: ${s.ready.join('; ')}`,
  ];
  if (!s.native.loaded) lines.push(`native add-on missing: ${s.native.reason}; one worker, datagrams read one by one`);
  if (s.user_keys && s.user_keys.pending > 0) {
    const { users, pending, without } = s.user_keys;
    lines.push(
      `SNMPv3: the keys of ${pending} of ${users} users are being made; ${without} have none yet and are refused`,
    );
  }
  for (const name of s.silent) lines.push(`${name} does not answer`);
  lines.push('', 'LISTENING');
  for (const l of s.listening)
    lines.push(`  ${l.collector.padEnd(10)} ${l.address}${l.network === 'default' ? '' : `  network ${l.network}`}`);
  lines.push('', 'WORKERS');
  for (const w of s.workers) {
    const spool = Object.values(w.spool).reduce(
      (a, c) => ({ bytes: a.bytes + c.bytes, unexported: a.unexported + c.unexported }),
      { bytes: 0, unexported: 0 },
    );
    lines.push(
      `  ${w.index}  pid ${w.pid}  spool ${formatSize(spool.bytes)}, ${formatSize(spool.unexported)} not exported${w.restarts ? `, restarted ${w.restarts} times` : ''}`,
    );
    for (const r of w.hard) lines.push(`     HARD ${r}`);
    for (const r of w.soft) lines.push(`     soft ${r}`);
    for (const [name, c] of Object.entries(w.collectors))
      lines.push(...collectorLines(name, c).map((l, i) => `     ${(i === 0 ? name : '').padEnd(10)} ${l}`));
    for (const e of w.exporters) {
      lines.push(
        `     → ${e.exporter.padEnd(8)} ${e.up ? 'up' : 'DOWN'}  acked ${e.acked}  retried ${e.retried}  quarantined ${e.quarantined}${e.skipped ? `  skipped ${e.skipped}` : ''}`,
      );
      for (const p of e.problems) lines.push(`       ${p.topic || 'all topics'}: ${p.problem}: ${p.fix}`);
    }
  }
  if (s.mibs && s.mibs.state !== 'built-in') {
    lines.push(
      '',
      `MIBS  ${s.mibs.state}  ${s.mibs.modules} modules, ${s.mibs.nodes} nodes, ${s.mibs.problems} problems`,
    );
    for (const p of s.mibs.first.slice(0, 10)) lines.push(`  ! ${p}`);
  }
  if (s.funnel) lines.push('', 'FUNNEL  from the wire to the exporters', ...funnelText(s.funnel));
  if (s.inform_ack?.length) {
    lines.push('', 'INFORMS  from reading to the answer');
    for (const a of s.inform_ack)
      lines.push(
        `  ${a.labels.listener} ${a.labels.stage.padEnd(8)} ${a.count} answered, p50 ${(a.p50 * 1000).toFixed(1)} ms, p99 ${(a.p99 * 1000).toFixed(1)} ms`,
      );
  }
  lines.push('', lbText(s.lb, nowMs), '', 'COUNTERS');
  for (const [name, value] of Object.entries(s.counters)) if (value) lines.push(`  ${name.padEnd(70)} ${value}`);
  return lines.join('\n');
}
