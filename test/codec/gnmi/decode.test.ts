import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCapabilityResponse } from '../../../src/codec/gnmi/capabilities.ts';
import { decodeSubscribeResponse, GNMI_LIMITS, PathCache } from '../../../src/codec/gnmi/decode.ts';
import { describeGnmi } from '../../../src/codec/gnmi/describe.ts';
import { encodePollRequest, encodeSubscribeRequest } from '../../../src/codec/gnmi/encode.ts';
import { makePath, parsePath } from '../../../src/codec/gnmi/path.ts';
import { gnmiType } from '../../../src/codec/gnmi/proto.ts';
import type { Notification, Path, SubscribeResponse, TypedValue } from '../../../src/codec/gnmi/types.ts';
import { DecodeError } from '../../../src/core/result.ts';

function encode(value: object): Buffer {
  const type = gnmiType('SubscribeResponse');
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}

function decode(buf: Buffer): SubscribeResponse {
  const m = decodeSubscribeResponse(buf);
  if (m instanceof DecodeError) throw new Error(`${m.code} at ${m.offset} in ${m.layer}`);
  return m;
}

function notification(buf: Buffer): Notification {
  const m = decode(buf);
  if (m.kind !== 'update') throw new Error(m.kind);
  return m.update;
}

function typedValue(val: object): TypedValue {
  return notification(encode({ update: { update: [{ path: {}, val }] } })).updates[0].val;
}

describe('SubscribeResponse', () => {
  it('sync_response, byte by byte: field 3, varint, 1', () => {
    expect(decode(Buffer.from('1801', 'hex'))).toEqual({ kind: 'sync', sync: true, extensions: [] });
  });

  it('a notification, byte by byte', () => {
    const buf = Buffer.from(
      [
        '0a2b', // 1 update, 43 bytes
        '089601', //   1 timestamp 150
        '1203220172', //   2 prefix { 4 target "r" }
        '2218', //   4 update, 24 bytes
        '0a0f1a0d0a016112080a026b6b12027676', //     1 path { 3 elem { 1 name "a", 2 key { 1 "kk", 2 "vv" } } }
        '1a0318ac02', //     3 val { 3 uint 300 }
        '2001', //     4 duplicates 1
        '2a051a030a0162', //   5 delete { 3 elem { 1 name "b" } }
        '3001', //   6 atomic
      ].join(''),
      'hex',
    );
    const n = notification(buf);
    expect(n.timestamp).toBe('150');
    expect(n.prefix.target).toBe('r');
    expect(n.updates[0].path.text).toBe('/a[kk=vv]');
    expect(n.updates[0]).toMatchObject({ val: { type: 'uint64', value: '300' }, duplicates: 1, size: 25 });
    expect(n.deletes.map((p) => p.text)).toEqual(['/b']);
    expect(n.atomic).toBe(true);
  });

  it('keeps every arm of a TypedValue exactly', () => {
    expect(typedValue({ string_val: 'é' })).toEqual({ type: 'string', value: 'é' });
    expect(typedValue({ int_val: '-9223372036854775808' })).toEqual({ type: 'int64', value: '-9223372036854775808' });
    expect(typedValue({ int_val: '-1' })).toEqual({ type: 'int64', value: '-1' });
    expect(typedValue({ uint_val: '18446744073709551615' })).toEqual({ type: 'uint64', value: '18446744073709551615' });
    expect(typedValue({ uint_val: '9007199254740993' })).toEqual({ type: 'uint64', value: '9007199254740993' });
    expect(typedValue({ bool_val: false })).toEqual({ type: 'bool', value: false });
    expect(typedValue({ bytes_val: Buffer.from([0, 255]) })).toEqual({ type: 'bytes', value: Buffer.from([0, 255]) });
    expect(typedValue({ float_val: 0.5 })).toEqual({ type: 'float', value: 0.5 });
    expect(typedValue({ double_val: 0.1 })).toEqual({ type: 'double', value: 0.1 });
    expect(typedValue({ decimal_val: { digits: '-5', precision: 3 } })).toEqual({ type: 'decimal64', value: '-0.005' });
    expect(typedValue({ decimal_val: { digits: '1234', precision: 2 } })).toEqual({
      type: 'decimal64',
      value: '12.34',
    });
    expect(typedValue({ leaflist_val: { element: [{ string_val: 'a' }, { uint_val: '1' }] } })).toEqual({
      type: 'leaflist',
      value: [
        { type: 'string', value: 'a' },
        { type: 'uint64', value: '1' },
      ],
    });
    expect(typedValue({ any_val: { type_url: 't/x', value: Buffer.from('z') } })).toEqual({
      type: 'any',
      value: { typeUrl: 't/x', value: Buffer.from('z') },
    });
    expect(typedValue({ json_val: Buffer.from('{}') })).toEqual({ type: 'json', value: Buffer.from('{}') });
    expect(typedValue({ json_ietf_val: Buffer.from('1') })).toEqual({ type: 'json_ietf', value: Buffer.from('1') });
    expect(typedValue({ ascii_val: 'x' })).toEqual({ type: 'ascii', value: 'x' });
    expect(typedValue({ proto_bytes: Buffer.from([1]) })).toEqual({ type: 'proto', value: Buffer.from([1]) });
    expect(typedValue({})).toEqual({ type: 'none', value: undefined });
  });

  it('reads the old Value, old elements, the old error and extensions', () => {
    const n = notification(
      encode({
        update: {
          timestamp: '-1',
          update: [
            { path: { element: ['a', 'b[k=v]'] }, value: { value: Buffer.from('{"x":1}'), type: 4 }, duplicates: 7 },
          ],
        },
        extension: [Buffer.from('0a00', 'hex')],
      }),
    );
    expect(n.timestamp).toBe('-1');
    expect(n.updates[0]).toMatchObject({ val: { type: 'json_ietf', value: Buffer.from('{"x":1}') }, duplicates: 7 });
    expect(n.updates[0].path.text).toBe('/a/b[k=v]');
    const e = decode(encode({ error: { code: 5, message: 'gone' }, extension: [Buffer.from('0a00', 'hex')] }));
    expect(e).toEqual({ kind: 'error', error: { code: 5, message: 'gone' }, extensions: [Buffer.from('0a00', 'hex')] });
    expect(decode(Buffer.alloc(0)).kind).toBe('empty');
  });

  it('names of Object.prototype are keys like any other', () => {
    const n = notification(
      Buffer.from(
        gnmiType('SubscribeResponse')
          .encode(
            gnmiType('SubscribeResponse').fromObject({
              update: { update: [{ path: { elem: [{ name: 'a', key: JSON.parse('{"constructor":"x"}') }] } }] },
            }),
          )
          .finish(),
      ),
    );
    expect(n.updates[0].path.text).toBe('/a[constructor=x]');
    const p = parsePath('/a[__proto__=x]') as Path;
    expect(p.text).toBe('/a[__proto__=x]');
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('gives the same path object for the same bytes, and forgets when full', () => {
    const cache = new PathCache(64);
    const buf = (name: string) => encode({ update: { delete: [{ elem: [{ name }] }] } });
    const path = (b: Buffer) => {
      const m = decodeSubscribeResponse(b, cache);
      if (m instanceof DecodeError || m.kind !== 'update') throw new Error('refused');
      return m.update.deletes[0];
    };
    const first = path(buf('a'));
    expect(path(buf('a'))).toBe(first);
    for (let i = 0; i < 50; i++) path(buf(`other-${i}`));
    expect(path(buf('a'))).not.toBe(first);
    expect(path(buf('a')).text).toBe('/a');
  });

  it('refuses with code and layer', () => {
    const refused = (b: Buffer) => {
      const m = decodeSubscribeResponse(b);
      return m instanceof DecodeError ? `${m.code} ${m.layer}` : m.kind;
    };
    expect(refused(Buffer.from('0a05', 'hex'))).toBe('truncated notification');
    expect(refused(Buffer.from('0b', 'hex'))).toBe('tag subscribe-response');
    expect(refused(Buffer.from('00', 'hex'))).toBe('tag subscribe-response');
    expect(refused(Buffer.from(`18${'ff'.repeat(10)}01`, 'hex'))).toBe('range subscribe-response');
    const bad = encode({ update: { update: [{ path: { elem: [{ name: 'aa' }] } }] } });
    bad[bad.length - 1] = 0xff;
    expect(refused(bad)).toBe('value path');
    expect(refused(encode({ update: { update: [{ val: { decimal_val: { digits: 1, precision: 4e9 } } }] } }))).toBe(
      'range typed-value',
    );
    const elem = Array.from({ length: 65 }, () => ({ name: 'a' }));
    expect(refused(encode({ update: { delete: [{ elem }] } }))).toBe('limit path');
    let deep: object = { bool_val: true };
    for (let i = 0; i < 6; i++) deep = { leaflist_val: { element: [deep] } };
    expect(refused(encode({ update: { update: [{ val: deep }] } }))).toBe('depth typed-value');
  });

  it('keeps its limits', () => {
    const three = encode({ update: { delete: [{}, {}, {}] } });
    const limits = { ...GNMI_LIMITS, updates: 2 };
    expect(decodeSubscribeResponse(three, new PathCache(), limits)).toMatchObject({ code: 'limit' });
    expect(decodeSubscribeResponse(three, new PathCache(), { ...GNMI_LIMITS, messageBytes: 3 })).toMatchObject({
      code: 'limit',
    });
  });

  it('never throws, whatever comes', () => {
    const good = encode({
      update: {
        timestamp: '1700000000000000000',
        prefix: { origin: 'openconfig', elem: [{ name: 'a', key: { k: 'v' } }], target: 't' },
        update: [
          {
            path: { elem: [{ name: 'b' }] },
            val: { leaflist_val: { element: [{ int_val: '-3' }, { double_val: 1 }] } },
          },
          { path: { elem: [{ name: 'c' }] }, val: { any_val: { type_url: 'u', value: Buffer.from('v') } } },
        ],
        delete: [{ elem: [{ name: 'd' }] }],
      },
      extension: [Buffer.from('x')],
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeSubscribeResponse(Buffer.from(bytes));
        decodeCapabilityResponse(Buffer.from(bytes));
        describeGnmi(Buffer.from(bytes));
      }),
      { numRuns: 2000 },
    );
    for (let cut = 0; cut < good.length; cut++) decodeSubscribeResponse(good.subarray(0, cut));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
        const flipped = Buffer.from(good);
        flipped[at] = byte;
        const m = decodeSubscribeResponse(flipped);
        if (m instanceof DecodeError) expect(m.offset).toBeLessThanOrEqual(flipped.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('says what protobufjs says', () => {
    const name = fc.string({ maxLength: 8 });
    const path = fc.record({
      origin: name,
      target: name,
      elem: fc.array(fc.record({ name, key: fc.dictionary(fc.constantFrom('a', 'b', 'c'), name, { maxKeys: 2 }) }), {
        maxLength: 4,
      }),
    });
    const val = fc.oneof(
      fc.record({ int_val: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String) }),
      fc.record({ uint_val: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String) }),
      fc.record({ string_val: fc.string({ unit: 'grapheme' }) }),
      fc.record({ double_val: fc.double() }),
      fc.record({ bytes_val: fc.uint8Array({ maxLength: 8 }).map((b) => Buffer.from(b)) }),
    );
    const n = fc.record({
      timestamp: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
      prefix: path,
      update: fc.array(fc.record({ path, val, duplicates: fc.nat() }), { maxLength: 4 }),
      delete: fc.array(path, { maxLength: 3 }),
      atomic: fc.boolean(),
    });
    fc.assert(
      fc.property(n, (said) => {
        const heard = notification(encode({ update: said }));
        expect(heard.timestamp).toBe(said.timestamp);
        expect(heard.atomic).toBe(said.atomic);
        const same = (a: Path, b: typeof said.prefix) => {
          expect([a.origin, a.target]).toEqual([b.origin, b.target]);
          expect(a.text).toBe(makePath(b.elem).text);
        };
        same(heard.prefix, said.prefix);
        expect(heard.deletes.length).toBe(said.delete.length);
        for (const [i, p] of heard.deletes.entries()) same(p, said.delete[i]);
        expect(heard.updates.length).toBe(said.update.length);
        heard.updates.forEach((u, i) => {
          same(u.path, said.update[i].path);
          expect(u.val.value).toEqual(Object.values(said.update[i].val)[0]);
          expect(u.duplicates).toBe(said.update[i].duplicates);
        });
      }),
      { numRuns: 200 },
    );
  });
});

describe('requests', () => {
  it('a SubscribeRequest says what was asked for', () => {
    const type = gnmiType('SubscribeRequest');
    const buf = encodeSubscribeRequest({
      paths: [parsePath('openconfig:/interfaces/interface[name=eth0]') as Path, parsePath('/system') as Path],
      prefix: makePath([], '', 'r1'),
      encoding: 'json_ietf',
      streamMode: 'sample',
      sampleInterval: 10_000,
      heartbeatInterval: 200 * 86_400_000,
      suppressRedundant: true,
      updatesOnly: true,
      qos: 10,
    });
    expect(type.toObject(type.decode(buf), { longs: String, enums: String })).toEqual({
      subscribe: {
        prefix: { target: 'r1' },
        subscription: [
          {
            path: {
              origin: 'openconfig',
              elem: [{ name: 'interfaces' }, { name: 'interface', key: { name: 'eth0' } }],
            },
            mode: 'SAMPLE',
            sample_interval: '10000000000',
            suppress_redundant: true,
            heartbeat_interval: '17280000000000000',
          },
          {
            path: { elem: [{ name: 'system' }] },
            mode: 'SAMPLE',
            sample_interval: '10000000000',
            suppress_redundant: true,
            heartbeat_interval: '17280000000000000',
          },
        ],
        qos: { marking: 10 },
        encoding: 'JSON_IETF',
        updates_only: true,
      },
    });
  });

  it('a poll is field 3, empty', () => {
    expect(encodePollRequest().toString('hex')).toBe('1a00');
  });

  it('a CapabilityResponse is read, packed encodings or not', () => {
    const type = gnmiType('CapabilityResponse');
    const models = [{ name: 'openconfig-interfaces', organization: 'OpenConfig', version: '3.0.0' }];
    const packed = type.encode(
      type.fromObject({ supported_models: models, supported_encodings: [0, 2, 4], gNMI_version: '0.10.0' }),
    );
    expect(decodeCapabilityResponse(Buffer.from(packed.finish()))).toEqual({
      version: '0.10.0',
      encodings: ['json', 'proto', 'json_ietf'],
      models,
    });
    expect(decodeCapabilityResponse(Buffer.from('1003', 'hex'))).toMatchObject({ encodings: ['ascii'] });
    expect(decodeCapabilityResponse(Buffer.from('0a7f', 'hex'))).toMatchObject({ code: 'truncated' });
  });
});

describe('describe', () => {
  it('prints a message for people', () => {
    const buf = encode({
      update: {
        timestamp: '1',
        prefix: { target: 't' },
        update: [{ path: { elem: [{ name: 'a' }] }, val: { json_val: Buffer.from('[1]') } }],
      },
    });
    expect(JSON.parse(JSON.stringify(describeGnmi(buf)))).toEqual({
      type: 'update',
      timestamp: '1',
      prefix: { path: '/', target: 't' },
      updates: [{ path: '/a', type: 'json', value: '[1]' }],
      deletes: [],
      atomic: false,
    });
  });
});
