/**
 * The metric `snmp_trap` of Telegraf's input of that name, as its JSON serializer writes it (`json_timestamp_units` as by default: seconds).
 * Keys are sorted, as Go writes maps. A community is never a tag. Names are those of the MIBs loaded here; an OID without one is numeric.
 */
import { isUtf8 } from 'node:buffer';
import { octetsOf, SNMP_TRAP_OID, type TrapEvent, type TrapVarBind } from './trap.ts';

export function telegraf(e: TrapEvent): string {
  const d = e.data;
  const trap = split(d.trap_name ?? enterprise(d.trap_oid), d.trap_oid);
  const tags: Record<string, string> = {
    version: d.version === 'v2c' ? '2c' : d.version.slice(1),
    source: d.source.address,
    oid: `.${d.trap_oid}`,
    name: trap.name,
    mib: trap.mib,
  };
  if (d.version === 'v1') tags.agent_address = d.agent_address ?? '0.0.0.0';
  if (d.version === 'v3') {
    if (d.context) tags.context_name = d.context;
    if (d.engine_id) tags.engine_id = d.engine_id;
  }
  const fields: [string, string][] = [];
  if (d.uptime_ticks !== undefined) fields.push(['sysUpTimeInstance', String(d.uptime_ticks)]);
  for (const v of d.varbinds) {
    if (v.oid === SNMP_TRAP_OID) continue;
    const value = textOf(v);
    if (value !== undefined) fields.push([split(v.name, v.oid).name, value]);
  }
  const last = new Map(fields);
  const body = [...last].sort(byKey).map(([k, json]) => `${JSON.stringify(k)}:${json}`);
  const sorted = Object.fromEntries(
    Object.entries(tags)
      .filter(([, v]) => v !== '')
      .sort(byKey),
  );
  return `{"fields":{${body.join(',')}},"name":"snmp_trap","tags":${JSON.stringify(sorted)},"timestamp":${e.sec}}`;
}

const byKey = (a: readonly [string, unknown], b: readonly [string, unknown]): number =>
  a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;

/** `IF-MIB::linkDown` → its two parts. */
function split(name: string | undefined, oid: string): { mib: string; name: string } {
  const m = /^(.+?)::(.*)$/.exec(name ?? '');
  return m ? { mib: m[1], name: m[2] } : { mib: '', name: `.${oid}` };
}

/** An enterprise's notification without a name: the part that SNMPv2-SMI names. */
function enterprise(oid: string): string | undefined {
  return oid.startsWith('1.3.6.1.4.1.') ? `SNMPv2-SMI::enterprises.${oid.slice(12)}` : undefined;
}

/** JSON of a field; undefined where there is none. 64-bit integers are JSON numbers, as Go writes them. */
function textOf(v: TrapVarBind): string | undefined {
  switch (v.type) {
    case 'integer32':
    case 'unsigned32':
    case 'gauge32':
    case 'counter32':
    case 'timeticks':
    case 'counter64':
      return String(v.value);
    case 'octet-string': {
      const b = octetsOf(v.value);
      return JSON.stringify(isUtf8(b) ? b.toString('utf8') : b.toString('hex'));
    }
    case 'oid':
      return JSON.stringify(split(v.text, String(v.value)).name);
    case 'opaque':
      // gosnmp knows the float and the double that Net-SNMP puts into an Opaque; other octets are a string, whatever they are.
      if (/^0x9f7[89]/.test(String(v.value)) && v.text !== undefined && Number.isFinite(Number(v.text))) return v.text;
      return JSON.stringify(octetsOf(v.value).toString('utf8'));
    case 'bits':
      return JSON.stringify(octetsOf(v.value).toString('utf8'));
    case 'null':
      return undefined;
    default:
      return JSON.stringify(v.value);
  }
}
