/**
 * A varbind as JSON, equal to `JSON.stringify(renderVarBind(…))`, as bytes. What the decoder met before keeps its JSON with it; counters and the
 * like do not repeat: of them what stands in front of the number is kept, by OID.
 */
import { Buffer } from 'node:buffer';
import { DecodedVarBind, type SmiType, type VarBind } from '../codec/snmp/message.ts';
import type { NotificationMemo } from '../codec/snmp/notification-cache.ts';
import type { Notification } from '../codec/snmp/rfc3584.ts';
import { TextWriter } from '../core/text-writer.ts';
import type { Names } from './names.ts';
import { renderVarBind, ticksText } from './render.ts';

interface Front {
  type: SmiType;
  /** Up to and with `"value":`. */
  json: Uint8Array;
  /** Whether the number may have a text: an enumeration, a DISPLAY-HINT. */
  text: boolean;
}

type Remembered = NonNullable<NotificationMemo['texts']>;

/** Cleared when full. */
const FRONTS = 4096;
/** Longer OIDs are rare; keeping them would let a flood fill much memory. */
const KEPT_OID = 256;

const COMMA = 0x2c;
const TEXT = Buffer.from(',"text":"');

export class VarBindTexts {
  private readonly names: Names;
  private readonly fronts = new Map<string, Front>();
  private readonly traps = new Map<string, Uint8Array>();

  constructor(names: Names) {
    this.names = names;
  }

  /** `,"trap_oid":…` and, where the notification has one, `,"trap_name":…`. */
  trap(oid: string): Uint8Array {
    let json = this.traps.get(oid);
    if (json === undefined) {
      const said = JSON.stringify({ trap_oid: oid, trap_name: this.names.trap(oid) });
      json = Buffer.from(`,${said.slice(1, -1)}`);
      if (oid.length > KEPT_OID) return json;
      if (this.traps.size >= FRONTS) this.traps.clear();
      this.traps.set(oid, json);
    }
    return json;
  }

  /** What was made of a notification that was met before. */
  private remembered(memo: NotificationMemo, trapOid: string, varbinds: readonly VarBind[]): Remembered {
    let { texts } = memo;
    if (texts === undefined || texts.by !== this) {
      texts = { by: this, trap: this.trap(trapOid), pieces: this.pieces(varbinds, memo.varying) };
      memo.texts = texts;
    }
    return texts;
  }

  /** `trap` of a notification. */
  writeTrap(w: TextWriter, n: Notification): void {
    w.bytes(n.memo === undefined ? this.trap(n.trapOid) : this.remembered(n.memo, n.trapOid, n.varbinds).trap);
  }

  /** The varbinds of a notification with commas between them. */
  list(w: TextWriter, { memo, trapOid, varbinds }: Notification): void {
    if (memo === undefined) {
      for (let i = 0; i < varbinds.length; i++) {
        if (i > 0) w.char(COMMA);
        this.write(w, varbinds[i], varbinds);
      }
      return;
    }
    const { pieces } = this.remembered(memo, trapOid, varbinds);
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i];
      if (typeof piece === 'number') this.write(w, varbinds[piece], varbinds);
      else w.bytes(piece);
    }
  }

  /** What stays as it is in one piece; a text of an address may follow from a varbind beside it, which is none of those that vary. */
  private pieces(varbinds: readonly VarBind[], varying: readonly boolean[]): (Uint8Array | number)[] {
    const out: (Uint8Array | number)[] = [];
    const w = new TextWriter(1024);
    const cut = (): void => {
      if (w.at > 0) out.push(Buffer.from(w.buf.subarray(0, w.at)));
      w.at = 0;
    };
    for (let i = 0; i < varbinds.length; i++) {
      if (i > 0) w.char(COMMA);
      if (!varying[i]) this.write(w, varbinds[i], varbinds);
      else {
        cut();
        out.push(i);
      }
    }
    cut();
    return out;
  }

  /** `all`: the varbinds that came with it. */
  write(w: TextWriter, v: VarBind, all: readonly VarBind[]): void {
    const { type } = v;
    if (type === 'counter32' || type === 'gauge32' || type === 'unsigned32' || type === 'timeticks') {
      if (!this.number(w, v)) w.bytes(this.make(v, all));
      return;
    }
    const known = DecodedVarBind.known(v);
    if (known === undefined) w.bytes(this.make(v, all));
    else if (known.by === this) w.bytes(known.made!);
    else {
      const json = this.make(v, all);
      w.bytes(json);
      // The text of an address may follow from a varbind beside it.
      if (this.names.object(v.oid)?.type?.tc === 'InetAddress') return;
      known.made = json;
      known.by = this;
    }
  }

  /** A number with nothing, or the time it means, behind it. False where it may have another text. */
  private number(w: TextWriter, v: VarBind): boolean {
    let front = this.fronts.get(v.oid);
    if (front === undefined || front.type !== v.type) {
      front = this.front(v);
      if (v.oid.length > KEPT_OID) return false;
      if (this.fronts.size >= FRONTS) this.fronts.clear();
      this.fronts.set(v.oid, front);
    }
    if (front.text) return false;
    const value = v.value as number;
    w.bytes(front.json);
    w.integer(value);
    if (v.type === 'timeticks') {
      w.bytes(TEXT);
      w.text(ticksText(value));
      w.char(0x22);
    }
    w.char(0x7d);
    return true;
  }

  private front(v: VarBind): Front {
    const named = this.names.object(v.oid);
    const type = v.type === 'gauge32' || v.type === 'unsigned32' ? named?.type : undefined;
    const text = type !== undefined && (type.values !== undefined || (type.hint !== undefined && type.hint !== 'd'));
    const head = JSON.stringify({ oid: v.oid, name: named?.name, type: v.type });
    return { type: v.type, json: Buffer.from(`${head.slice(0, -1)},"value":`), text };
  }

  private make(v: VarBind, all: readonly VarBind[]): Uint8Array {
    return Buffer.from(JSON.stringify(renderVarBind(this.names, v, all)));
  }
}
