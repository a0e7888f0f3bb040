import { expect, it } from 'vitest';
import { funnel, funnelText } from '../../src/process/funnel.ts';
import { KernelLosses, readProc } from '../../src/process/kernel-losses.ts';
import { Registry } from '../../src/telemetry/registry.ts';

function host() {
  const v = { noPorts: 5, inErrors: 10, rcvbuf: 9, reasm: 1, udp6: 2, drop: 3, errs: 0 };
  const files = (): Record<string, string> => ({
    '/proc/net/snmp': `Ip: Forwarding ReasmOKs ReasmFails\nIp: 1 7 ${v.reasm}\nUdp: InDatagrams NoPorts InErrors RcvbufErrors\nUdp: 99 ${v.noPorts} ${v.inErrors} ${v.rcvbuf}\nUdpLite: InDatagrams NoPorts\nUdpLite: 4 4\n`,
    '/proc/net/snmp6': `Ip6ReasmFails                   \t0\nUdp6NoPorts                     \t${v.udp6}\n`,
    '/proc/net/dev': `Inter-|   Receive\n face |bytes    packets errs drop fifo frame\n  eth0: 100 5 ${v.errs} ${v.drop} 0 0 0 0 0\n`,
  });
  return { v, read: (path: string) => files()[path] };
}

function said(k: KernelLosses, wall: number): Record<string, unknown>[] {
  const out: Record<string, unknown>[] = [];
  k.say(wall, (data) => out.push(data));
  return out;
}

it('counts what the host lost since the start, exact to one, and says each counter that moved once', () => {
  const { v, read } = host();
  const registry = new Registry();
  const k = new KernelLosses(read, registry, 1_700_000_000_000);
  const value = (counter: string): number =>
    registry.handle('tidegate_kernel_losses_total', { counter: counter as 'nic_rx_dropped' }).value;
  expect(said(k, 1_700_000_001_000)).toEqual([]);
  v.noPorts += 4;
  v.udp6 += 3;
  v.drop += 2;
  v.inErrors += 6;
  v.rcvbuf += 6;
  v.reasm += 1;
  k.poll();
  expect(['udp_no_ports', 'nic_rx_dropped', 'udp_in_errors', 'udp_rcvbuf_errors', 'ip_reasm_fails'].map(value)).toEqual(
    [7, 2, 6, 6, 1],
  );
  v.noPorts += 1;
  const events = said(k, 1_700_000_011_000);
  expect(events).toContainEqual({
    kind: 'drop',
    reason: 'udp-no-ports',
    count: 8,
    from: '2023-11-14T22:13:21.000Z',
    to: '2023-11-14T22:13:31.000Z',
  });
  expect(events).toHaveLength(5);
  expect(said(k, 1_700_000_021_000)).toEqual([]);
  // Another interface took the name.
  v.drop = 0;
  k.poll();
  v.drop = 1;
  k.poll();
  expect(value('nic_rx_dropped')).toBe(3);
});

it('this host can be read; one without these files loses nothing', () => {
  const registry = new Registry();
  expect(said(new KernelLosses(readProc, registry, 0), 1).length).toBeLessThanOrEqual(7);
  const none = new KernelLosses(() => undefined, registry, 0);
  expect(said(none, 1)).toEqual([]);
});

it('the funnel has a row for each stage and what it is about', () => {
  const rows = funnel([
    ['tidegate_received_total', 'collector="snmp_trap"', 10],
    ['tidegate_refused_total', 'code="tag",collector="snmp_trap"', 2],
    ['tidegate_refused_total', 'code="depth",collector="snmp_trap"', 0],
    ['tidegate_suppressed_total', 'collector="snmp_trap"', 3],
    ['tidegate_lost_events_total', 'collector="snmp_trap",reason="kernel"', 4],
    ['tidegate_lost_events_total', 'collector="snmp_trap",reason="shed"', 1],
    ['tidegate_kernel_losses_total', 'counter="udp_no_ports"', 6],
    ['tidegate_kernel_losses_total', 'counter="nic_rx_dropped"', 7],
    ['tidegate_events_total', 'type="snmp.trap.v1"', 4],
    ['tidegate_export_acked_total', 'exporter="kafka"', 4],
  ]);
  expect(rows.map((r) => [r.stage, r.of, r.count])).toEqual([
    ['host', 'nic_rx_dropped', 7],
    ['host', 'udp_no_ports', 6],
    ['socket', 'snmp_trap', 4],
    ['received', 'snmp_trap', 10],
    ['refused', 'snmp_trap tag', 2],
    ['suppressed', 'snmp_trap', 3],
    ['shed', 'snmp_trap', 1],
    ['spooled', 'snmp.trap.v1', 4],
    ['exported', 'kafka', 4],
  ]);
  expect(funnelText(rows)).toHaveLength(rows.length);
});
