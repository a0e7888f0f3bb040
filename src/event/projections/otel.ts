/**
 * An OpenTelemetry log record as OTLP JSON (ExportLogsServiceRequest with one record), the names those of the one shape that is shipped for traps:
 * attributes `network.peer.*`, `snmp.*`, and `event_name` `snmp.trap.<category>`. 64-bit integers are strings, as the protobuf JSON mapping says.
 * Timestamp is left out: a trap has no time of its own. Severity is that of the alarm.
 */
import type { TrapEvent, TrapVarBind } from './trap.ts';

type AnyValue =
  | { stringValue: string }
  | { intValue: string }
  | { boolValue: boolean }
  | { arrayValue: { values: AnyValue[] } }
  | { kvlistValue: { values: KeyValue[] } };
interface KeyValue {
  key: string;
  value: AnyValue;
}

/** SeverityNumber of the perceived severities of X.733. */
const SEVERITY: Record<string, [number, string]> = {
  cleared: [9, 'INFO'],
  indeterminate: [10, 'INFO2'],
  warning: [13, 'WARN'],
  minor: [14, 'WARN2'],
  major: [17, 'ERROR'],
  critical: [21, 'FATAL'],
};

export function otel(e: TrapEvent): string {
  const d = e.data;
  const attributes: KeyValue[] = [];
  const put = (key: string, value: string | number | undefined): void => {
    if (value === undefined || value === '') return;
    attributes.push({ key, value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value } });
  };
  put('network.peer.address', d.source.address);
  put('network.peer.port', d.source.port);
  put('network.transport', 'udp');
  put('snmp.source.ip', d.agent_address ?? d.trap_address ?? d.source.address);
  put('snmp.version', d.version);
  put('snmp.trap.oid', d.trap_oid);
  put('snmp.trap.name', d.trap_name);
  put('snmp.trap.category', d.alarm?.event_type);
  put('snmp.trap.severity', d.alarm?.perceived_severity);
  put('snmp.trap.pdu_type', d.pdu);
  put('snmp.device.hostname', d.device.name);
  put('snmp.device.vendor', d.device.vendor);
  put('snmp.engine_id', d.engine_id);
  put('snmp.context', d.context);
  put('snmp.security.level', d.security.level);
  put('snmp.enterprise.oid', d.enterprise_oid);
  put('snmp.uptime_ticks', d.uptime_ticks);
  put('snmp.alarm.id', d.alarm?.id);
  put('snmp.alarm.state', d.alarm?.state);
  put('snmp.alarm.probable_cause', d.alarm?.probable_cause);
  put('snmp.alarm.managed_object', d.alarm?.managed_object);
  put('event.id', e.id);
  attributes.push({
    key: 'snmp.varbinds',
    value: { kvlistValue: { values: d.varbinds.map((v) => ({ key: v.name ?? v.oid, value: varbind(v) })) } },
  });
  const severity = d.alarm === undefined ? undefined : SEVERITY[d.alarm.perceived_severity];
  const record = {
    observedTimeUnixNano: String(BigInt(e.sec) * 1_000_000_000n + BigInt(e.nsec)),
    ...(severity && { severityNumber: severity[0], severityText: severity[1] }),
    eventName: `snmp.trap.${d.alarm?.event_type ?? 'unknown'}`,
    body: { stringValue: `${d.trap_name ?? d.trap_oid} from ${d.device.name}` },
    attributes,
  };
  const resource: KeyValue[] = [
    { key: 'service.name', value: { stringValue: 'tidegate' } },
    { key: 'service.instance.id', value: { stringValue: d.rx.node } },
    { key: 'host.name', value: { stringValue: d.device.name } },
  ];
  return JSON.stringify({
    resourceLogs: [
      {
        resource: { attributes: resource },
        scopeLogs: [{ scope: { name: 'tidegate/snmp_trap' }, logRecords: [record] }],
      },
    ],
  });
}

function varbind(v: TrapVarBind): AnyValue {
  const values: KeyValue[] = [
    { key: 'oid', value: { stringValue: v.oid } },
    { key: 'type', value: { stringValue: v.type } },
  ];
  if (v.value !== undefined)
    values.push({
      key: 'value',
      value:
        typeof v.value === 'number' || v.type === 'counter64'
          ? // AnyValue has no unsigned integers: what does not fit stays text.
            fitsInt64(v.value)
            ? { intValue: String(v.value) }
            : { stringValue: String(v.value) }
          : { stringValue: v.value },
    });
  if (v.text !== undefined) values.push({ key: 'enum', value: { stringValue: v.text } });
  return { kvlistValue: { values } };
}

function fitsInt64(v: number | string): boolean {
  return BigInt(v) <= 9_223_372_036_854_775_807n;
}
