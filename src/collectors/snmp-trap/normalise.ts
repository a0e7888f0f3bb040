/** Notification → the `data` of snmp.trap.v1, the content id, and the id of an inform. */
import { Buffer } from 'node:buffer';
import type { Pdu } from '../../codec/snmp/message.ts';
import type { RenderedVarBind } from '../../codec/snmp/render.ts';
import { type Notification, SNMP_TRAP_COMMUNITY } from '../../codec/snmp/rfc3584.ts';
import { SHORT_HASH, shortHashBehind } from '../../core/hash.ts';
import { TextWriter } from '../../core/text-writer.ts';
import type { Device, Draft } from '../../event/types.ts';
import type { SecurityLevel } from '../../protocol/usm/algorithms.ts';
import type { Alarm, MadeAlarm } from './alarm.ts';
import type { Meaning } from './meaning.ts';
import type { Source } from './sources.ts';

/** What is known of a datagram besides its bytes. */
export interface Origin {
  network: string;
  /** RFC 5952 text. */
  address: string;
  port: number;
  /** Receive time, UTC. */
  sec: number;
  nsec: number;
  device: Device;
  /** Default `source`. */
  addressFrom?: SnmpTrapData['address_from'];
  /** Keeps what every event of it begins with. */
  source?: Source;
}

/** The type's own fields; see config/schemas/snmp.trap.v1.json. Undefined ones are left out. */
export interface SnmpTrapData {
  version: Spoken['version'];
  pdu: 'trap' | 'inform';
  source: { address: string; port: number };
  /** Which address named the device: the datagram's, or, of a trusted relay, what it says. */
  address_from: 'source' | 'agent_address' | 'trap_address';
  trap_address: string | undefined;
  agent_address: string | undefined;
  engine_id: string | undefined;
  security: Spoken['security'];
  context: string | undefined;
  trap_oid: string;
  trap_name: string | undefined;
  enterprise_oid: string | undefined;
  uptime_ticks: number | undefined;
  alarm: Alarm | undefined;
  varbinds: RenderedVarBind[];
}

/** What a message says of itself around its PDU. */
export interface Spoken {
  version: 'v1' | 'v2c' | 'v3';
  security: { user?: string; level: SecurityLevel };
  /** v3: the engine whose notification it is, in hex. */
  engineId?: string;
  /** v3: the context's name; absent where it is empty. */
  context?: string;
}

/** v1 and v2c have no security of their own: a community proves nothing. */
const COMMUNITY_SECURITY = { level: 'noAuthNoPriv' } as const;
export const V1: Spoken = { version: 'v1', security: COMMUNITY_SECURITY };
export const V2C: Spoken = { version: 'v2c', security: COMMUNITY_SECURITY };

/** Up to the text of the source's address. */
function begins(version: Spoken['version']): { trap: Buffer; inform: Buffer } {
  const of = (pdu: string): Buffer => Buffer.from(`"version":"${version}","pdu":"${pdu}","source":{"address":"`);
  return { trap: of('trap'), inform: of('inform') };
}
const BEGIN_1 = begins('v1');
const BEGIN_2C = begins('v2c');
const BEGIN_3 = begins('v3');
const PORT = Buffer.from('","port":');
const ADDRESS_FROM = {
  source: Buffer.from('},"address_from":"source"'),
  agent_address: Buffer.from('},"address_from":"agent_address"'),
  trap_address: Buffer.from('},"address_from":"trap_address"'),
};
const TRAP_ADDRESS = Buffer.from(',"trap_address":"');
const AGENT_ADDRESS = Buffer.from(',"agent_address":"');
const ENGINE_ID = Buffer.from(',"engine_id":"');
const SECURITY = Buffer.from(',"security":');
const COMMUNITY_FIELD = Buffer.from(`,"security":${JSON.stringify(COMMUNITY_SECURITY)}`);
const CONTEXT = Buffer.from(',"context":');
const ENTERPRISE_OID = Buffer.from(',"enterprise_oid":"');
const UPTIME = Buffer.from(',"uptime_ticks":');
const VARBINDS = Buffer.from(',"varbinds":[');

/** A member whose value needs no escapes; `name` ends with the opening quote. */
function member(w: TextWriter, name: Buffer, value: string): void {
  w.bytes(name);
  w.text(value);
  w.char(0x22);
}

/** A draft without id, for the pipeline. `buf` is what the notification was decoded from: the draft is good for as long as that stays. */
export function normalise(
  buf: Buffer,
  spoken: Spoken,
  pdu: 'trap' | 'inform',
  n: Notification,
  origin: Origin,
  meaning: Meaning,
): TrapDraft {
  return new TrapDraft(buf, spoken, pdu, n, origin, meaning);
}

/**
 * A notification on its way into the pipeline. A storm is made of these, so its JSON is put together from pieces that are kept (`write`), and
 * the objects are made only where somebody asks for them (`data`).
 */
export class TrapDraft implements Draft {
  readonly type = 'snmp.trap.v1';
  readonly sec: number;
  readonly nsec: number;
  readonly network: string;
  readonly device: Device;
  readonly shed: 'trap' | 'inform';
  id: string | undefined = undefined;
  raw: Buffer | undefined = undefined;
  private readonly buf: Buffer;
  private readonly spoken: Spoken;
  private readonly n: Notification;
  private readonly origin: Origin;
  private readonly meaning: Meaning;
  private readonly made: MadeAlarm | undefined;

  constructor(buf: Buffer, spoken: Spoken, pdu: 'trap' | 'inform', n: Notification, origin: Origin, meaning: Meaning) {
    this.sec = origin.sec;
    this.nsec = origin.nsec;
    this.network = origin.network;
    this.device = origin.device;
    this.shed = pdu;
    this.buf = buf;
    this.spoken = spoken;
    this.n = n;
    this.origin = origin;
    this.meaning = meaning;
    this.made = meaning.alarms.find(n, origin.device.id);
  }

  get contentId(): string {
    hashContent(this.buf, this.n, this.device.id);
    return hashed();
  }

  writeContentId(w: TextWriter): void {
    hashContent(this.buf, this.n, this.device.id);
    w.copy(scratch.buf, scratch.at, SHORT_HASH);
  }

  get trapOid(): string {
    return this.n.trapOid;
  }

  get data(): SnmpTrapData {
    const { n, origin, spoken, meaning } = this;
    const varbinds: RenderedVarBind[] = [];
    for (const v of n.varbinds) varbinds.push(meaning.naming.varbind(v, n.varbinds));
    return {
      version: spoken.version,
      pdu: this.shed,
      source: { address: origin.address, port: origin.port },
      address_from: origin.addressFrom ?? 'source',
      trap_address: n.trapAddress,
      agent_address: n.agentAddress,
      engine_id: spoken.engineId,
      security: spoken.security,
      context: spoken.context,
      trap_oid: n.trapOid,
      trap_name: meaning.naming.trap(n.trapOid),
      enterprise_oid: n.enterprise,
      uptime_ticks: n.uptime,
      alarm: this.made?.alarm,
      varbinds,
    };
  }

  /** `JSON.stringify(data)` without its braces. Addresses, OIDs and hex need no escapes. */
  write(w: TextWriter): void {
    const { n, spoken, meaning } = this;
    const begin = spoken.version === 'v2c' ? BEGIN_2C : spoken.version === 'v3' ? BEGIN_3 : BEGIN_1;
    this.writeSource(w, this.shed === 'trap' ? begin.trap : begin.inform);
    if (n.trapAddress !== undefined) member(w, TRAP_ADDRESS, n.trapAddress);
    if (n.agentAddress !== undefined) member(w, AGENT_ADDRESS, n.agentAddress);
    if (spoken.engineId !== undefined) member(w, ENGINE_ID, spoken.engineId);
    if (spoken.security === COMMUNITY_SECURITY) w.bytes(COMMUNITY_FIELD);
    else {
      w.bytes(SECURITY);
      w.text(JSON.stringify(spoken.security));
    }
    if (spoken.context !== undefined) {
      w.bytes(CONTEXT);
      w.quoted(spoken.context);
    }
    const { texts } = meaning.naming;
    texts.writeTrap(w, n);
    if (n.enterprise !== undefined) member(w, ENTERPRISE_OID, n.enterprise);
    if (n.uptime !== undefined) {
      w.bytes(UPTIME);
      w.integer(n.uptime);
    }
    if (this.made !== undefined) w.bytes(this.made.json);
    w.bytes(VARBINDS);
    texts.list(w, n);
    w.char(0x5d);
  }

  private writeSource(w: TextWriter, begin: Buffer): void {
    const { address, port, addressFrom, source } = this.origin;
    const met = addressFrom === undefined ? source?.begin : undefined;
    const again = met !== undefined && met.of === begin && met.port === port;
    if (again && met.json !== undefined) {
      w.bytes(met.json);
      return;
    }
    const from = w.at;
    w.bytes(begin);
    w.text(address);
    w.bytes(PORT);
    w.integer(port);
    w.bytes(ADDRESS_FROM[addressFrom ?? 'source']);
    if (again) met.json = Buffer.from(w.buf.subarray(from, w.at));
    else if (met !== undefined) {
      met.of = begin;
      met.port = port;
      met.json = undefined;
    } else if (source !== undefined && addressFrom === undefined) source.begin = { of: begin, port, json: undefined };
  }

  /** What may be kept: without the datagram. */
  kept(): Draft {
    const { type, sec, nsec, network, device, id, contentId, shed, data } = this;
    return { type, sec, nsec, network, device, id, contentId, shed, data };
  }
}

/** What is hashed, and behind it the hash. */
const scratch = new TextWriter(128 * 1024);

/**
 * Hash of what was said: device, trap OID, uptime, the v1 fields, and the varbinds as they were encoded. The uptime is in it so that two
 * equal alarms of a flapping port stay two. Of the varbinds a community is left out.
 */
function hashContent(buf: Buffer, n: Notification, deviceId: string): void {
  begin(deviceId);
  line(n.trapOid);
  if (n.uptime !== undefined) scratch.integer(n.uptime);
  scratch.char(LF);
  line(n.agentAddress);
  line(n.enterprise);
  hashWith(buf, n.varbinds);
}

/** Hash of what is said, without the uptime: equal for a notification that is sent again and again. */
export function notificationKey(
  buf: Buffer,
  data: SnmpTrapData,
  deviceId: string,
  varbinds: readonly { start: number; end: number }[],
): string {
  begin(deviceId);
  line(data.trap_oid);
  line(data.agent_address);
  line(data.enterprise_oid);
  line(data.security.user);
  line(data.engine_id);
  line(data.context);
  hashWith(buf, varbinds);
  return hashed();
}

const LF = 0x0a;

function begin(first: string): void {
  scratch.at = 0;
  line(first);
}

function line(text: string | undefined): void {
  if (text !== undefined) scratch.text(text);
  scratch.char(LF);
}

function hash(): void {
  shortHashBehind(scratch, scratch.buf, 0, 0);
}

function hashed(): string {
  return scratch.buf.toString('latin1', scratch.at, scratch.at + SHORT_HASH);
}

/** With encoded varbinds, which nearly always stand in one piece. */
function hashWith(buf: Buffer, varbinds: readonly { start: number; end: number }[]): void {
  const { length } = varbinds;
  if (length === 0) {
    hash();
    return;
  }
  for (let i = 1; i < length; i++)
    if (varbinds[i].start !== varbinds[i - 1].end) {
      copyVarBinds(buf, varbinds);
      hash();
      return;
    }
  shortHashBehind(scratch, buf, varbinds[0].start, varbinds[length - 1].end);
}

/** Copies encoded varbinds, neighbours in one piece. */
function copyVarBinds(buf: Buffer, varbinds: readonly { start: number; end: number }[]): void {
  for (let i = 0; i < varbinds.length; ) {
    const start = varbinds[i].start;
    let end = varbinds[i].end;
    for (i++; i < varbinds.length && varbinds[i].start === end; i++) end = varbinds[i].end;
    copy(buf, start, end);
  }
}

function copy(buf: Buffer, from: number, to = buf.length): void {
  scratch.room(to - from);
  scratch.at += buf.copy(scratch.buf, scratch.at, from, to);
}

/**
 * The id of an inform: equal for each retransmission, on whichever node it arrives. Network, source address and port, version,
 * user and context (none in v2c) and the PDU from request-id on. The community is no part of it, nor is one that a proxy put into the varbinds.
 */
export function informId(buf: Buffer, pdu: Pdu, origin: Origin, spoken: Spoken = V2C): string {
  const { version, security, context = '' } = spoken;
  const user = security.user ?? '';
  // A name may hold anything: its length keeps two names from making one text.
  begin(origin.network);
  line(origin.address);
  line(String(origin.port));
  line(version);
  line(version === 'v3' ? `${user.length} ${user}` : '');
  line(version === 'v3' ? `${context.length} ${context}` : '');
  if (pdu.varbinds.some((v) => v.oid === SNMP_TRAP_COMMUNITY)) {
    copy(buf, pdu.requestIdOffset, pdu.varbindsOffset);
    copyVarBinds(
      buf,
      pdu.varbinds.filter((v) => v.oid !== SNMP_TRAP_COMMUNITY),
    );
  } else copy(buf, pdu.requestIdOffset);
  hash();
  return hashed();
}
