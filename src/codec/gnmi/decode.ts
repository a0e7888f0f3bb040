/**
 * SubscribeResponse (gNMI specification 3.5.1.4), field numbers in proto.ts. Proto3 rules: unknown fields are skipped, of a oneof the
 * last one counts, a repeated message field that is not repeated is merged (here: the last one counts).
 *
 *   SubscribeResponse { 1 update | 3 sync_response | 4 error; 5 extension* }
 *   Notification      { 1 timestamp  2 prefix  4 update*  5 delete*  6 atomic }
 *   Update            { 1 path  2 value (old)  3 val  4 duplicates }
 *   Path              { 1 element* (old)  2 origin  3 elem*  4 target }     PathElem { 1 name  2 key: map { 1 key  2 value } }
 */
import { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/result.ts';
import { MAX_KEYS, MAX_PATH_ELEMENTS, makePath, parseOldElement } from './path.ts';
import {
  ENCODINGS,
  type Notification,
  type Path,
  type PathElem,
  type SubscribeResponse,
  type TypedValue,
  type Update,
} from './types.ts';
import { Wire } from './wire.ts';

/** Bounds against hostile input; more is the error `limit` (or `depth`). */
export interface GnmiLimits {
  /** Bytes of one message. */
  messageBytes: number;
  /** Updates and deletes of one notification, together. */
  updates: number;
  /** Elements of all leaf-lists of one message. */
  leafListElements: number;
  extensions: number;
}

export const GNMI_LIMITS: GnmiLimits = {
  messageBytes: 64 << 20,
  updates: 500_000,
  leafListElements: 1_000_000,
  extensions: 64,
};

/** Leaf-lists in leaf-lists. */
const MAX_LEAFLIST_DEPTH = 4;
/** YANG allows 18 fraction digits (RFC 7950, 9.3.4). */
const MAX_FRACTION_DIGITS = 18;

const ROOT: Path = makePath([]);
const NONE: TypedValue = { type: 'none', value: undefined };
const EMPTY = Buffer.alloc(0);

/**
 * The same few thousand paths come again and again. They are looked up by their bytes, so that one is decoded and written as text
 * once. Bounded: when full it starts anew.
 */
export class PathCache {
  private readonly paths = new Map<string, Path>();
  private bytes = 0;
  private readonly maxBytes: number;

  /** `maxBytes` of encoded paths. */
  constructor(maxBytes = 4 << 20) {
    this.maxBytes = maxBytes;
  }

  get(key: string): Path | undefined {
    return this.paths.get(key);
  }

  set(key: string, path: Path): void {
    this.bytes += key.length;
    if (this.bytes > this.maxBytes) {
      this.paths.clear();
      this.bytes = key.length;
    }
    this.paths.set(key, path);
  }
}

/** Longer paths are not worth a place in the cache. */
const MAX_CACHED_PATH = 1024;

/** One SubscribeResponse. Buffers in the answer are views of `buf`. Never throws. */
export function decodeSubscribeResponse(
  buf: Buffer,
  cache: PathCache = new PathCache(),
  limits: GnmiLimits = GNMI_LIMITS,
): SubscribeResponse | DecodeError {
  if (buf.length > limits.messageBytes) return new DecodeError('limit', limits.messageBytes, 'subscribe-response');
  const d = new Decoder(buf, cache, limits);
  const message = d.subscribeResponse();
  return d.w.error ?? message;
}

class Decoder {
  readonly w: Wire;
  private readonly cache: PathCache;
  private readonly limits: GnmiLimits;
  private leaves = 0;

  constructor(buf: Buffer, cache: PathCache, limits: GnmiLimits) {
    this.w = new Wire(buf, 'subscribe-response');
    this.cache = cache;
    this.limits = limits;
  }

  subscribeResponse(): SubscribeResponse {
    const w = this.w;
    const extensions: Buffer[] = [];
    let message: SubscribeResponse = { kind: 'empty', extensions };
    while (w.more()) {
      const tag = w.tag();
      switch (tag) {
        case 10:
          message = { kind: 'update', update: this.notification(), extensions };
          break;
        case 24:
          message = { kind: 'sync', sync: w.bool(), extensions };
          break;
        case 34:
          message = { kind: 'error', error: this.oldError(), extensions };
          break;
        case 42:
          if (extensions.length >= this.limits.extensions) w.fail('limit');
          else extensions.push(w.bytes());
          break;
        default:
          w.skip(tag);
      }
    }
    return message;
  }

  private oldError(): { code: number; message: string } {
    const w = this.w;
    w.layer = 'error';
    const outer = w.enter();
    let code = 0;
    let message = '';
    while (w.more()) {
      const tag = w.tag();
      if (tag === 8) code = w.u32();
      else if (tag === 18) message = w.string();
      else w.skip(tag);
    }
    w.leave(outer);
    return { code, message };
  }

  private notification(): Notification {
    const w = this.w;
    w.layer = 'notification';
    const outer = w.enter();
    const n: Notification = { timestamp: '0', prefix: ROOT, updates: [], deletes: [], atomic: false };
    while (w.more()) {
      const tag = w.tag();
      switch (tag) {
        case 8:
          n.timestamp = w.i64();
          break;
        case 18:
          n.prefix = this.path();
          break;
        case 34:
          if (n.updates.length + n.deletes.length >= this.limits.updates) w.fail('limit');
          else n.updates.push(this.update());
          break;
        case 42:
          if (n.updates.length + n.deletes.length >= this.limits.updates) w.fail('limit');
          else n.deletes.push(this.path());
          break;
        case 48:
          n.atomic = w.bool();
          break;
        default:
          w.skip(tag);
      }
      w.layer = 'notification';
    }
    w.leave(outer);
    return n;
  }

  private update(): Update {
    const w = this.w;
    w.layer = 'update';
    const start = w.pos;
    const outer = w.enter();
    let path = ROOT;
    let val: TypedValue | undefined;
    let old: TypedValue | undefined;
    let duplicates = 0;
    while (w.more()) {
      const tag = w.tag();
      switch (tag) {
        case 10:
          path = this.path();
          break;
        case 18:
          old = this.oldValue();
          break;
        case 26:
          val = this.value(0);
          break;
        case 32:
          duplicates = w.u32();
          break;
        default:
          w.skip(tag);
      }
    }
    w.leave(outer);
    return { path, val: val ?? old ?? NONE, duplicates, size: w.pos - start };
  }

  /** The message gNMI 0.3 had before TypedValue. */
  private oldValue(): TypedValue {
    const w = this.w;
    w.layer = 'value';
    const outer = w.enter();
    let value: Buffer = EMPTY;
    let type = 0;
    while (w.more()) {
      const tag = w.tag();
      if (tag === 10) value = w.bytes();
      else if (tag === 16) type = w.u32();
      else w.skip(tag);
    }
    w.leave(outer);
    const name = ENCODINGS[type];
    if (name === undefined) w.fail('value');
    if (name === 'ascii') return { type: 'ascii', value: value.toString('utf8') };
    return { type: name ?? 'bytes', value };
  }

  private value(depth: number): TypedValue {
    const w = this.w;
    w.layer = 'typed-value';
    const outer = w.enter();
    let v: TypedValue = NONE;
    while (w.more()) {
      const tag = w.tag();
      switch (tag) {
        case 10:
          v = { type: 'string', value: w.string() };
          break;
        case 16:
          v = { type: 'int64', value: w.i64() };
          break;
        case 24:
          v = { type: 'uint64', value: w.u64() };
          break;
        case 32:
          v = { type: 'bool', value: w.bool() };
          break;
        case 42:
          v = { type: 'bytes', value: w.bytes() };
          break;
        case 53:
          v = { type: 'float', value: w.float() };
          break;
        case 58:
          v = { type: 'decimal64', value: this.decimal() };
          break;
        case 66:
          v = { type: 'leaflist', value: this.leafList(depth) };
          break;
        case 74:
          v = this.any();
          break;
        case 82:
          v = { type: 'json', value: w.bytes() };
          break;
        case 90:
          v = { type: 'json_ietf', value: w.bytes() };
          break;
        case 98:
          v = { type: 'ascii', value: w.string() };
          break;
        case 106:
          v = { type: 'proto', value: w.bytes() };
          break;
        case 113:
          v = { type: 'double', value: w.double() };
          break;
        default:
          w.skip(tag);
      }
    }
    w.leave(outer);
    return v;
  }

  private decimal(): string {
    const w = this.w;
    const outer = w.enter();
    let digits = '0';
    let precision = 0;
    while (w.more()) {
      const tag = w.tag();
      if (tag === 8) digits = w.i64();
      else if (tag === 16) precision = w.u32();
      else w.skip(tag);
    }
    if (precision > MAX_FRACTION_DIGITS) {
      w.fail('range');
      precision = 0;
    }
    w.leave(outer);
    return decimalText(digits, precision);
  }

  private leafList(depth: number): TypedValue[] {
    const w = this.w;
    const out: TypedValue[] = [];
    if (depth >= MAX_LEAFLIST_DEPTH) {
      w.fail('depth');
      return out;
    }
    const outer = w.enter();
    while (w.more()) {
      const tag = w.tag();
      if (tag !== 10) w.skip(tag);
      else if (++this.leaves > this.limits.leafListElements) w.fail('limit');
      else out.push(this.value(depth + 1));
    }
    w.leave(outer);
    return out;
  }

  private any(): TypedValue {
    const w = this.w;
    const outer = w.enter();
    let typeUrl = '';
    let value: Buffer = EMPTY;
    while (w.more()) {
      const tag = w.tag();
      if (tag === 10) typeUrl = w.string();
      else if (tag === 18) value = w.bytes();
      else w.skip(tag);
    }
    w.leave(outer);
    return { type: 'any', value: { typeUrl, value } };
  }

  private path(): Path {
    const w = this.w;
    const outer = w.enter();
    const size = w.end - w.pos;
    const key = size > 0 && size <= MAX_CACHED_PATH ? w.buf.toString('latin1', w.pos, w.end) : '';
    const known = key === '' ? undefined : this.cache.get(key);
    if (known) {
      w.leave(outer);
      return known;
    }
    const layer = w.layer;
    w.layer = 'path';
    const path = size === 0 ? ROOT : this.freshPath();
    w.leave(outer);
    w.layer = layer;
    if (key !== '' && !w.error) this.cache.set(key, path);
    return path;
  }

  private freshPath(): Path {
    const w = this.w;
    const elem: PathElem[] = [];
    const old: PathElem[] = [];
    let origin = '';
    let target = '';
    while (w.more()) {
      const tag = w.tag();
      if (elem.length + old.length >= MAX_PATH_ELEMENTS && (tag === 10 || tag === 26)) {
        w.fail('limit');
        break;
      }
      switch (tag) {
        case 10:
          old.push(parseOldElement(w.string()));
          break;
        case 18:
          origin = w.string();
          break;
        case 26:
          elem.push(this.pathElem());
          break;
        case 34:
          target = w.string();
          break;
        default:
          w.skip(tag);
      }
    }
    return makePath(elem.length > 0 ? elem : old, origin, target);
  }

  private pathElem(): PathElem {
    const w = this.w;
    const outer = w.enter();
    let name = '';
    let key: Record<string, string> | undefined;
    let keys = 0;
    while (w.more()) {
      const tag = w.tag();
      if (tag === 10) name = w.string();
      else if (tag !== 18) w.skip(tag);
      else if (++keys > MAX_KEYS) w.fail('limit');
      else {
        key ??= Object.create(null) as Record<string, string>;
        this.mapEntry(key);
      }
    }
    w.leave(outer);
    return key ? { name, key } : { name };
  }

  private mapEntry(into: Record<string, string>): void {
    const w = this.w;
    const outer = w.enter();
    let key = '';
    let value = '';
    while (w.more()) {
      const tag = w.tag();
      if (tag === 10) key = w.string();
      else if (tag === 18) value = w.string();
      else w.skip(tag);
    }
    w.leave(outer);
    into[key] = value;
  }
}

/** `digits` × 10^-`precision` as decimal text: 1234, 2 → `12.34`. */
function decimalText(digits: string, precision: number): string {
  if (precision === 0) return digits;
  const negative = digits.startsWith('-');
  const plain = (negative ? digits.slice(1) : digits).padStart(precision + 1, '0');
  const cut = plain.length - precision;
  return `${negative ? '-' : ''}${plain.slice(0, cut)}.${plain.slice(cut)}`;
}
