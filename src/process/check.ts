/** What `tidegate check` looks at beyond the file itself: this machine, and with `connect` what the configuration points at. */
import { readFileSync, statfsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { call, NotAllowed, socketPath } from '../admin/client.ts';
import { loadAlarms } from '../config/alarms-file.ts';
import { type CompiledMibs, compileMibFiles } from '../config/mib-files.ts';
import type { Config } from '../config/schema.ts';
import { formatEndpoint } from '../core/ip.ts';
import { rfc3339Millis } from '../core/time.ts';
import { formatDuration, formatSize } from '../core/units.ts';
import { checkExporters } from '../export/check.ts';
import { builtinNaming } from '../mib/builtin.ts';
import { decodeTable } from '../mib/table.ts';
import { loadNative, nativeProblem } from '../net/native.ts';
import { checkPeers, checkVips, thisHost } from './check-vip.ts';
import { planListens } from './listens.ts';
import { startTime } from './lock.ts';
import { formatMibProblem } from './mibs.ts';
import { lookUpUser } from './privileges.ts';
import { RATE_FILE, type RateFile } from './rate.ts';
import { openAll } from './sockets.ts';

export interface CheckFinding {
  severity: 'ok' | 'note' | 'problem';
  what: string;
  fix?: string;
}

export async function checkHost(config: Config, devices: number, connect: boolean): Promise<CheckFinding[]> {
  const host = thisHost(loadNative(), nativeProblem());
  const out: CheckFinding[] = [
    ...machine(config),
    ...checkVips(config, host),
    ...access(config, devices),
    ...meaning(config),
    spool(config),
  ];
  if (connect) {
    out.push(...(await sockets(config)));
    out.push(...(await checkPeers(config)));
    out.push(...(await checkExporters(config.export, config.networks)));
  }
  return out;
}

function machine(config: Config): CheckFinding[] {
  const out: CheckFinding[] = [];
  if (!loadNative())
    out.push({
      severity: 'note',
      what: `the native add-on is not loaded: ${nativeProblem()}; there will be one worker`,
      fix: 'install a C compiler and run: npm rebuild',
    });
  const root = process.getuid?.() === 0;
  if (!root) {
    const low = planListens(config).filter((l) => l.spec.port > 0 && l.spec.port < 1024);
    for (const l of low)
      out.push({
        severity: 'note',
        what: `${formatEndpoint(l.spec.address, l.spec.port)} is below 1024 and this is not root`,
        fix: 'start as root, or set net.ipv4.ip_unprivileged_port_start',
      });
  } else if (!lookUpUser(config.user)) {
    out.push({
      severity: 'note',
      what: `there is no user ${config.user}: workers run as nobody`,
      fix: `useradd --system ${config.user}, or set user:`,
    });
  }
  return out;
}

/** Compiles the modules, as a start would, and looks for what the operator's alarm rules name. */
function meaning(config: Config): CheckFinding[] {
  const { paths } = config.mibs;
  const compiled = paths.length === 0 ? undefined : compileMibFiles(paths);
  const table = compiled === undefined ? builtinNaming().names.table : decodeTable(compiled.table);
  const out = compiled === undefined ? [] : modules(compiled, paths);
  if (config.alarms.file === undefined || typeof table === 'string') return out;
  const { rules } = loadAlarms(config.alarms.file);
  const unknown = rules.flatMap((r) => r.on).filter((on) => !/^\d/.test(on) && table.named(on).length === 0);
  for (const on of new Set(unknown))
    out.push({
      severity: 'note',
      what: `${config.alarms.file}: no notification is called ${on}: its rule never fits`,
      fix: 'add the module that defines it to mibs.paths, or name it by its OID',
    });
  return out;
}

function modules(c: CompiledMibs, paths: readonly string[]): CheckFinding[] {
  const ok: CheckFinding = {
    severity: 'ok',
    what: `mibs: ${c.modules.length} modules of ${c.files} files, ${c.nodes} nodes`,
  };
  const nothing: CheckFinding = {
    severity: 'problem',
    what: `mibs.paths: no module in ${paths.join(', ')}`,
    fix: 'name folders of MIB modules, or tables that tidegate mib compile made',
  };
  return [
    c.modules.length > 0 ? ok : nothing,
    ...c.problems.map((p): CheckFinding => ({ severity: 'note', what: formatMibProblem(p) })),
  ];
}

function access(config: Config, devices: number): CheckFinding[] {
  const out: CheckFinding[] = [];
  const snmp = config.collectors.snmp_trap;
  if (snmp && snmp.communities.length === 0)
    out.push(
      snmp.users.length === 0
        ? {
            severity: 'note',
            what: 'collectors.snmp_trap has no community and no user: every notification is refused and counted',
            fix: 'add communities: [{name: …, from: [PREFIX]}], or users for SNMPv3',
          }
        : {
            severity: 'ok',
            what: `collectors.snmp_trap: SNMPv3 alone, ${snmp.users.length} users; v1 and v2c are refused: it has no community`,
          },
    );
  const bgp = config.collectors.bgp;
  if (bgp && bgp.peers.length === 0)
    out.push({
      severity: 'note',
      what: 'collectors.bgp has no peers: every session is refused and counted',
      fix: 'add peers: [{address: ADDRESS, asn: N}]',
    });
  out.push({
    severity: 'ok',
    what: `inventory: ${devices} devices${config.inventory ? '' : ' (none configured: keys are network|address)'}`,
  });
  return out;
}

/** How long Kafka may be away: from the configured space and the rate the last run saw. */
function spool(config: Config): CheckFinding {
  const max = config.spool.max_bytes;
  let free: number | undefined;
  try {
    const s = statfsSync(resolve(config.data_dir));
    free = s.bavail * s.bsize;
  } catch {
    // data_dir does not exist yet.
  }
  const short = free !== undefined && free < max ? `; the disk has only ${formatSize(free)} free` : '';
  let rate: RateFile | undefined;
  try {
    rate = JSON.parse(readFileSync(join(config.data_dir, RATE_FILE), 'utf8')) as RateFile;
  } catch {
    // It has not run yet.
  }
  if (!rate || rate.bytes_per_second <= 0)
    return {
      severity: short ? 'note' : 'ok',
      what: `spool: ${formatSize(max)}; how long an outage of Kafka it covers is known after the first minutes of traffic${short}`,
    };
  const usable = Math.min(max, free ?? max);
  return {
    severity: short ? 'note' : 'ok',
    what: `spool: ${formatSize(max)} covers an outage of Kafka of ${formatDuration((usable / rate.bytes_per_second) * 1000)} at the rate last seen (${formatSize(Math.round(rate.bytes_per_second))}/s, ${Math.round(rate.events_per_second)} events/s, ${rfc3339Millis(rate.at)})${short}`,
  };
}

async function sockets(config: Config): Promise<CheckFinding[]> {
  const out: CheckFinding[] = [];
  let running: Promise<Running | undefined> | undefined;
  for (const planned of planListens(config)) {
    const where = formatEndpoint(planned.spec.address, planned.spec.port);
    const opened = await openAll([planned], 1);
    if (!('problem' in opened)) {
      opened.close();
      out.push({ severity: 'ok', what: `${planned.collector} can listen on ${where}` });
      continue;
    }
    running ??= runningInstance(config);
    const instance = /the port is in use/.test(opened.problem) ? await running : undefined;
    out.push(
      instance?.listening.has(`${planned.collector} ${where}`)
        ? { severity: 'ok', what: `${planned.collector} ${where}: held by the running instance (pid ${instance.pid})` }
        : { severity: 'problem', what: opened.problem, fix: instance?.note },
    );
  }
  return out;
}

interface Running {
  pid: number;
  /** `COLLECTOR ADDR:PORT`. */
  listening: Set<string>;
  /** Why more is not known. */
  note?: string;
}

/** The instance on this data_dir, if one answers and its process lives. */
async function runningInstance(config: Config): Promise<Running | undefined> {
  try {
    const socket = socketPath(config.data_dir, config.admin.socket);
    const { pid, listening } = (await call(socket, 'GET', '/api/v1/status')) as {
      pid: number;
      listening: { collector: string; address: string }[];
    };
    if (startTime(pid) === undefined) return undefined;
    return { pid, listening: new Set(listening.map((l) => `${l.collector} ${l.address}`)) };
  } catch (e) {
    if (!(e instanceof NotAllowed)) return undefined;
    return { pid: 0, listening: new Set(), note: `or is it the instance of this data_dir? ${e.message}` };
  }
}
