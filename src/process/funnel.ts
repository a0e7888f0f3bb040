/**
 * The way of what was sent here, as a table whose rows add up: for datagrams received = refused + repeated + suppressed + shed + accepted.
 * Pure: made of the merged counters.
 */
import type { Sample } from '../telemetry/registry.ts';
import { KERNEL_COUNTERS } from './kernel-losses.ts';

export interface FunnelRow {
  stage: 'host' | 'socket' | 'received' | 'refused' | 'repeated' | 'suppressed' | 'shed' | 'spooled' | 'exported';
  /** Collector, counter, code, type or exporter. */
  of: string;
  count: number;
}

export function funnel(samples: readonly Sample[]): FunnelRow[] {
  const out: FunnelRow[] = [];
  const add = (stage: FunnelRow['stage'], name: string, label: string, fits = ''): void => {
    const counts = new Map<string, number>();
    for (const [n, labels, value] of samples) {
      if (n !== name || !labels.includes(fits) || value === 0) continue;
      const of = label.split(' ').map((l) => new RegExp(`(?:^|,)${l}="([^"]*)"`).exec(labels)?.[1] ?? '');
      counts.set(of.join(' '), (counts.get(of.join(' ')) ?? 0) + value);
    }
    for (const [of, count] of counts) out.push({ stage, of, count });
  };
  const order = new Map<string, number>(KERNEL_COUNTERS.map((c, i) => [c, i]));
  add('host', 'tidegate_kernel_losses_total', 'counter');
  out.sort((a, b) => order.get(a.of)! - order.get(b.of)!);
  add('socket', 'tidegate_lost_events_total', 'collector', 'reason="kernel"');
  add('received', 'tidegate_received_total', 'collector');
  add('refused', 'tidegate_refused_total', 'collector code');
  add('repeated', 'tidegate_repeated_total', 'collector');
  add('suppressed', 'tidegate_suppressed_total', 'collector');
  add('shed', 'tidegate_lost_events_total', 'collector', 'reason="shed"');
  add('spooled', 'tidegate_events_total', 'type');
  add('exported', 'tidegate_export_acked_total', 'exporter');
  return out;
}

/** The counters that `status` shows, by name and labels. */
export function shownCounters(samples: readonly Sample[]): Record<string, number> {
  const shown =
    /^tidegate_(received|events|refused|lost_events|repeated|suppressed|kernel_losses|export_acked|export_quarantined)_?/;
  return Object.fromEntries(
    samples.filter((s) => shown.test(s[0])).map((s) => [s[1] === '' ? s[0] : `${s[0]}{${s[1]}}`, s[2]]),
  );
}

const MEANING: Record<FunnelRow['stage'], string> = {
  host: 'lost by the host',
  socket: 'dropped at our sockets',
  received: 'received',
  refused: '  refused',
  repeated: '  retries',
  suppressed: '  duplicates',
  shed: '  shed (spool full)',
  spooled: 'events spooled',
  exported: 'events exported',
};

/** The table for people. */
export function funnelText(rows: readonly FunnelRow[]): string[] {
  return rows.map((r) => `  ${MEANING[r.stage].padEnd(24)} ${r.of.padEnd(40)} ${r.count}`);
}
