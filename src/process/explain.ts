/**
 * `tidegate explain DEVICE`: what is known of a device and, for everything that stands between it and Kafka, the cause and the fix.
 * Pure: it is handed what was gathered.
 */
import type { ToleratedEngine } from '../collectors/snmp-trap/tolerated.ts';
import type { Config } from '../config/schema.ts';
import { formatEndpoint, normaliseIp } from '../core/ip.ts';
import { rfc3339Millis } from '../core/time.ts';
import { formatDuration } from '../core/units.ts';
import type { DeviceTable } from '../inventory/inventory.ts';
import { type CodeText, REFUSAL_CODES } from '../telemetry/codes.ts';
import type { Refusal } from '../telemetry/refusals.ts';
import { explainTargets, gnmiTargets, targetsOf } from './explain-gnmi.ts';
import { explainVips, type KernelFacts, type LbView } from './explain-vip.ts';
import { hardRemedy, softRemedy } from './fixes.ts';
import type { Listen, WorkerStatus } from './messages.ts';
import { type LossHistory, RECENT_MS } from './recent-losses.ts';
import type { UserKeysStatus } from './user-keys.ts';

export interface Finding {
  /** What part of the way it concerns. */
  at: 'device' | 'access' | 'target' | 'socket' | 'kernel' | 'spool' | 'export' | 'vip' | 'process';
  severity: 'ok' | 'note' | 'problem';
  cause: string;
  fix?: string;
  count?: number;
  since?: string;
  last?: string;
}

export interface ExplainInput {
  device: string;
  /** What runs here. */
  role: 'all' | 'ingest' | 'speaker';
  config: Config;
  inventory: DeviceTable;
  refusals: Refusal[];
  workers: WorkerStatus[];
  silent: string[];
  /** Why workers do not run at all; empty: they do. */
  notRunning: string[];
  /** Names of workers that have not begun to read yet. */
  starting: string[];
  userKeys: UserKeysStatus;
  /** Absolute. */
  dataDir: string;
  lb: Record<string, unknown>;
  kernel: KernelFacts;
  listens: readonly Listen[];
  /** Listeners that a changed configuration asks for and that cannot be opened: why. */
  unopened?: readonly string[];
  losses: LossHistory[];
  nowMs: number;
}

export interface Explanation {
  device: string;
  known: { id: string; name: string }[];
  addresses: string[];
  findings: Finding[];
}

export function explain(i: ExplainInput): Explanation {
  const known = i.inventory.find(i.device);
  const addresses = new Set<string>();
  const plain = normaliseIp(i.device.includes('|') ? i.device.slice(i.device.indexOf('|') + 1) : i.device);
  if (plain !== undefined) addresses.add(plain);
  for (const d of known) for (const [, address] of i.inventory.addressesOf(d.id)) addresses.add(address);
  const targets = targetsOf(gnmiTargets(i.workers), i.device, new Set(known.map((d) => d.id)), addresses);
  // A target that is asked for by its name may send traps too.
  for (const t of targets) if (normaliseIp(t.source.address) !== undefined) addresses.add(t.source.address);
  const findings: Finding[] = [
    ...explainTargets(targets),
    ...deviceFindings(i, known.length, addresses),
    ...refusalFindings(i, addresses),
    ...toleratedFindings(i, new Set(known.map((d) => d.id)), addresses),
    ...nodeFindings(i),
    ...exportFindings(i),
    ...explainVips(i.config.lb, i.lb as LbView, i.kernel, i.nowMs),
  ];
  if (!findings.some((f) => f.severity === 'problem')) {
    findings.push({
      at: 'device',
      severity: 'ok',
      cause:
        'nothing on this node stands in the way; if nothing arrives, the device does not send here: look at its configuration, its route to the VIP and at filters between',
    });
  }
  return {
    device: i.device,
    known: known.map((d) => ({ id: d.id, name: d.name })),
    addresses: [...addresses],
    findings,
  };
}

function deviceFindings(i: ExplainInput, known: number, addresses: Set<string>): Finding[] {
  if (known > 0) return [];
  const where = i.config.inventory ? `add it to ${i.config.inventory.file}` : 'configure inventory: {file: …} with it';
  return [
    {
      at: 'device',
      severity: 'note',
      cause: `unknown device: the inventory has no entry for ${i.device}; its events carry the key network|address${addresses.size === 0 ? ', and no address is known to look refusals up by' : ''}`,
      fix: `${where}: {id, match: [{address: ${[...addresses][0] ?? 'ADDRESS'}}]}`,
    },
  ];
}

function refusalFindings(i: ExplainInput, addresses: Set<string>): Finding[] {
  return i.refusals
    .filter((r) => addresses.has(r.source) && (REFUSAL_CODES[r.code] as CodeText).ordinary !== true)
    .map((r) => ({
      at: 'access' as const,
      severity: 'problem' as const,
      cause: `${r.collector} refuses what comes from ${r.source} (network ${r.network}): ${r.code}: ${REFUSAL_CODES[r.code].reason}${r.detail === undefined ? '' : ` (${r.detail})`}`,
      fix: REFUSAL_CODES[r.code].fix,
      count: r.count,
      since: rfc3339Millis(r.first),
      last: rfc3339Millis(r.last),
    }));
}

/** What was only accepted because its engine, or its user, has another timeliness than strict. */
function toleratedFindings(i: ExplainInput, known: Set<string>, addresses: Set<string>): Finding[] {
  const out: Finding[] = [];
  for (const w of i.workers) {
    const v3 = w.collectors?.snmp_trap?.v3 as { tolerated?: ToleratedEngine[] } | undefined;
    for (const t of v3?.tolerated ?? []) {
      const asked = t.engine_id === i.device || i.inventory.find(t.engine_id).some((d) => known.has(d.id));
      if (!asked && !addresses.has(t.source)) continue;
      out.push({
        at: 'access',
        severity: 'note',
        cause: `${t.count} notifications of the SNMPv3 engine 0x${t.engine_id} (user ${t.user}, last from ${t.source}) were only accepted because its timeliness is ${t.timeliness}: its boots or time went back or stand still, so a replay would be accepted, too`,
        fix: 'correct boots and clock of the device (often a newer version of its agent), then set `timeliness: strict`',
        count: t.count,
        last: t.last,
      });
    }
  }
  return out;
}

function nodeFindings(i: ExplainInput): Finding[] {
  const out: Finding[] = [];
  for (const name of i.silent) {
    const starts = i.starting.includes(name);
    out.push({
      at: 'process',
      severity: 'problem',
      cause: starts ? `${name} is starting` : `${name} does not answer`,
      fix: starts
        ? hardRemedy('starting', { dataDir: i.dataDir, listening: '' }).fix
        : 'it is restarted when it stays silent; see the log for why',
    });
  }
  if (i.role === 'speaker')
    out.push({
      at: 'process',
      severity: 'note',
      cause:
        'only the speaker runs here: what is received, refused, spooled and exported is known to the instance with --role ingest',
      fix: 'ask there',
    });
  else if (i.listens.length === 0)
    out.push({
      at: 'socket',
      severity: 'problem',
      cause: 'no listener is configured',
      fix: 'configure collectors: with a listen address each',
    });
  const context = {
    dataDir: i.dataDir,
    listening: i.listens.map((l) => formatEndpoint(l.spec.address, l.spec.port)).join(', '),
  };
  for (const reason of i.notRunning) {
    const { at, fix } = hardRemedy(reason, context);
    out.push({ at, severity: 'problem', cause: reason, fix });
  }
  const { users, pending, without, starting } = i.userKeys;
  if (pending > 0 && !starting)
    out.push({
      at: 'access',
      severity: without > 0 ? 'problem' : 'note',
      cause: `the keys of ${pending} of ${users} SNMPv3 users are being made after a change: ${without} of them have none yet and are refused, the others have their old ones`,
      fix: 'wait a moment; with master_key or localized_key in place of passphrase there is nothing to wait for',
    });
  for (const reason of i.unopened ?? []) {
    const { at, fix } = hardRemedy(`socket ${reason}`, context);
    out.push({ at, severity: 'problem', cause: `a listener of the changed configuration is not open: ${reason}`, fix });
  }
  for (const w of i.workers) {
    for (const reason of w.hard) {
      const { at, fix } = hardRemedy(reason, context);
      out.push({ at, severity: 'problem', cause: `worker ${w.index}: ${reason}`, fix });
    }
    if (w.lease !== undefined && i.config.lb.vips.length > 0)
      out.push({
        at: 'vip',
        severity: 'problem',
        cause: `worker ${w.index} cannot renew its lease on the VIPs: ${w.lease}`,
        fix: 'start the speaker (`--role speaker`) on the same data_dir, with the same `user:`; its log says why it does not run',
      });
    for (const reason of w.soft) {
      const { at, meaning, fix } = softRemedy(reason);
      const cause = `worker ${w.index}: ${reason}${meaning === undefined ? '' : `: ${meaning}`}`;
      out.push({ at, severity: 'note', cause: `${cause}; routers prefer other nodes meanwhile`, fix });
    }
  }
  out.push(...lossFindings(i));
  return out;
}

/** What was lost lately is a problem; what was lost long ago is said, and no more. */
function lossFindings(i: ExplainInput): Finding[] {
  return i.losses.flatMap((l): Finding[] => {
    const kernel = l.labels.includes('reason="kernel"');
    if (!kernel && !l.labels.includes('reason="shed"')) return [];
    const at = kernel ? 'kernel' : 'spool';
    const what = (n: number): string =>
      kernel
        ? `the kernel dropped ${n} datagrams because a socket's buffer was full`
        : `${n} events were shed because the spool was full`;
    const last = rfc3339Millis(l.last);
    if (l.recent === 0)
      return [
        {
          at,
          severity: 'note',
          cause: `${what(l.total)}, none in the last minutes (${l.labels})`,
          count: l.total,
          last,
        },
      ];
    const fix = kernel
      ? 'raise net.core.rmem_max, give the process CAP_NET_ADMIN, or add workers'
      : 'restore Kafka, or enlarge spool.max_bytes';
    const since = l.total > l.recent ? `, ${l.total} since the start` : '';
    const cause = `${what(l.recent)} in the last ${formatDuration(RECENT_MS)}${since} (${l.labels})`;
    return [{ at, severity: 'problem', cause, fix, count: l.recent, last }];
  });
}

function exportFindings(i: ExplainInput): Finding[] {
  const seen = new Set<string>();
  const out: Finding[] = [];
  for (const w of i.workers) {
    for (const e of w.exporters) {
      for (const p of e.problems) {
        const cause = `exporter ${e.exporter}: ${p.topic === '' ? '' : `${p.topic}: `}${p.problem}`;
        if (seen.has(cause)) continue;
        seen.add(cause);
        out.push({
          at: 'export',
          severity: 'problem',
          cause: `${cause} (for ${formatDuration(i.nowMs - p.since)}); nothing is lost while the spool has room`,
          fix: p.fix,
          since: rfc3339Millis(p.since),
        });
      }
    }
  }
  return out;
}
