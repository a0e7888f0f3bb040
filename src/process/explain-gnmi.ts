/** What stands between a gNMI target and this node: it is dialled, so what it refuses is known here. Pure. */
import type { TargetStatus } from '../collectors/gnmi/target.ts';
import { REFUSAL_CODES } from '../telemetry/codes.ts';
import type { Finding } from './explain.ts';
import type { WorkerStatus } from './messages.ts';

/** What the workers say of their targets. */
export function gnmiTargets(workers: readonly WorkerStatus[]): TargetStatus[] {
  return workers.flatMap((w) => (w.collectors?.gnmi?.targets ?? []) as TargetStatus[]);
}

/** The targets that somebody may mean by `text`, or by one of the devices (ids) and addresses it stands for. */
export function targetsOf(
  all: readonly TargetStatus[],
  text: string,
  devices: ReadonlySet<string>,
  addresses: ReadonlySet<string>,
): TargetStatus[] {
  return all.filter((t) => {
    const host = t.address.slice(0, t.address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
    const names = [t.name, t.address, host, t.device];
    return names.includes(text) || devices.has(t.device) || addresses.has(t.source.address) || addresses.has(host);
  });
}

/** `targets`: those of the device in question. */
export function explainTargets(targets: readonly TargetStatus[]): Finding[] {
  return targets.flatMap((t) => t.subscriptions.flatMap((s) => subscription(t, s)));
}

function subscription(t: TargetStatus, s: TargetStatus['subscriptions'][number]): Finding[] {
  const up = s.state === 'subscribed' || s.state === 'synced';
  const what = `gNMI target ${t.name} (${t.address}, network ${t.network}), subscription ${s.name}`;
  const e = s.last_error;
  if (e === undefined)
    return up
      ? []
      : [
          {
            at: 'target',
            severity: 'note',
            cause: `${what}: ${s.state}; no attempt has ended yet`,
            fix: 'ask again after collectors.gnmi.connect_timeout',
          },
        ];
  const why = `${e.code}: ${REFUSAL_CODES[e.code].reason} (${e.detail})`;
  return [
    up
      ? {
          at: 'target',
          severity: 'note',
          cause: `${what} is ${s.state}, but complained: ${why}`,
          fix: e.fix,
          last: e.at,
        }
      : {
          at: 'target',
          severity: 'problem',
          cause: `${what} is down since ${t.since}: ${why}`,
          fix: e.fix,
          count: s.attempts,
          last: e.at,
        },
  ];
}
