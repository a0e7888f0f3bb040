import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeSubscribeResponse } from '../../../src/codec/gnmi/decode.ts';
import { parsePath } from '../../../src/codec/gnmi/path.ts';
import type { Path, SubscribeResponse } from '../../../src/codec/gnmi/types.ts';
import { MAX_JSON_DEPTH, parseJson } from '../../../src/collectors/gnmi/json.ts';
import { normalise, PART_BYTES, type UpdateItem, undecodable } from '../../../src/collectors/gnmi/normalise.ts';
import { tagsOf } from '../../../src/collectors/gnmi/tags.ts';
import type { DecodeError } from '../../../src/core/result.ts';
import { response } from './server.ts';

const FACTS = { target: 'r1', source: { address: '192.0.2.1', port: 57400 }, subscription: 's', epoch: 7 };

function said(value: object) {
  const m = decodeSubscribeResponse(response(value)) as SubscribeResponse;
  return normalise(m, FACTS).map((s) => ({ ...s, data: JSON.parse(JSON.stringify(s.data)) as typeof s.data }));
}

function item(val: object): UpdateItem {
  return said({ update: { update: [{ path: { elem: [{ name: 'x' }] }, val }] } })[0].data.updates![0];
}

const path = (text: string) => parsePath(text) as Path;

describe('normalise', () => {
  it('a notification', () => {
    const [{ data, contentId }] = said({
      update: {
        timestamp: '1700000000000000001',
        prefix: { origin: 'openconfig', target: 'other', elem: [{ name: 'interfaces' }] },
        update: [
          {
            path: { elem: [{ name: 'interface', key: { name: 'eth0' } }, { name: 'in-octets' }] },
            val: { uint_val: '18446744073709551615' },
            duplicates: 2,
          },
        ],
        delete: [{ elem: [{ name: 'interface', key: { name: 'eth1' } }] }],
        atomic: true,
      },
      extension: [Buffer.from([1])],
    });
    expect(data).toEqual({
      ...{ target: 'r1', source: FACTS.source, flavour: 'gnmi', subscription: 's', origin: 'openconfig', epoch: 7 },
      timestamp_ns: '1700000000000000001',
      prefix: '/interfaces',
      prefix_target: 'other',
      updates: [
        {
          path: '/interface[name=eth0]/in-octets',
          tags: { interface_name: 'eth0' },
          type: 'uint64',
          value: '18446744073709551615',
          duplicates: 2,
        },
      ],
      deletes: ['/interface[name=eth1]'],
      atomic: true,
      extensions: ['0x01'],
    });
    expect(contentId).toMatch(/^[0-9a-f]{32}$/);
  });

  it('the JSON type of a value follows from its type', () => {
    expect(item({ string_val: 'a' })).toMatchObject({ type: 'string', value: 'a' });
    expect(item({ int_val: '-5' })).toMatchObject({ type: 'int64', value: '-5' });
    expect(item({ bool_val: false })).toMatchObject({ type: 'bool', value: false });
    expect(item({ bytes_val: Buffer.from('ab') })).toMatchObject({ type: 'bytes', value: '0x6162' });
    expect(item({ float_val: Math.fround(0.1) })).toMatchObject({ type: 'float', value: 0.1 });
    expect(item({ double_val: 0.1 })).toMatchObject({ type: 'double', value: 0.1 });
    expect(item({ double_val: Number.NaN })).toEqual({ path: '/x', type: 'double', text: 'NaN' });
    expect(item({ float_val: Number.NEGATIVE_INFINITY })).toEqual({ path: '/x', type: 'float', text: '-Infinity' });
    expect(item({ decimal_val: { digits: '314', precision: 2 } })).toMatchObject({ type: 'decimal64', value: '3.14' });
    expect(item({ leaflist_val: { element: [{ int_val: '1' }, { bytes_val: Buffer.from([255]) }] } })).toMatchObject({
      type: 'leaflist',
      value: [
        { type: 'int64', value: '1' },
        { type: 'bytes', value: '0xff' },
      ],
    });
    expect(item({ any_val: { type_url: 't', value: Buffer.from([1]) } })).toMatchObject({
      type: 'any',
      value: { type_url: 't', value: '0x01' },
    });
    expect(item({ json_ietf_val: Buffer.from('{"a":[1,"2"]}') })).toMatchObject({
      type: 'json_ietf',
      value: { a: [1, '2'] },
    });
    expect(item({ json_val: Buffer.from('null') })).toEqual({ path: '/x', type: 'json', value: null });
    expect(item({ ascii_val: 'show' })).toMatchObject({ type: 'ascii', value: 'show' });
    expect(item({ proto_bytes: Buffer.from([8, 1]) })).toMatchObject({ type: 'proto', value: '0x0801' });
    expect(item({})).toEqual({ path: '/x', type: 'none' });
  });

  it('what only claims to be JSON stays whole', () => {
    expect(item({ json_val: Buffer.from('{"a":') })).toEqual({
      path: '/x',
      type: 'bytes',
      value: '0x7b2261223a',
      invalid: 'json',
    });
    expect(item({ json_ietf_val: Buffer.from([0x22, 0xff, 0x22]) })).toMatchObject({
      type: 'bytes',
      invalid: 'json_ietf',
    });
  });

  it('every 32-bit float comes back as itself', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (f) => {
        const value = item({ float_val: f }).value as number;
        expect(Math.fround(value) === f).toBe(true);
      }),
    );
  });

  it('sync is an event of its own; an empty response is none', () => {
    expect(said({ sync_response: true })[0].data).toEqual({
      ...{ target: 'r1', source: FACTS.source, flavour: 'gnmi', subscription: 's', epoch: 7 },
      sync: true,
    });
    expect(said({ sync_response: false })).toEqual([]);
    expect(said({})).toEqual([]);
  });

  it('the content id is of what was said, not of how it came', () => {
    const value = { update: { timestamp: '5', update: [{ path: { elem: [{ name: 'a' }] }, val: { int_val: '1' } }] } };
    const m = decodeSubscribeResponse(response(value)) as SubscribeResponse;
    const here = normalise(m, FACTS)[0].contentId;
    expect(
      normalise(m, { ...FACTS, epoch: 9, subscription: 't', source: { address: '::1', port: 1 } })[0].contentId,
    ).toBe(here);
    expect(normalise(m, { ...FACTS, target: 'r2' })[0].contentId).not.toBe(here);
  });

  it('a large notification is told in parts, nothing twice and nothing missing', () => {
    const blob = 'x'.repeat(1000);
    const update = Array.from({ length: 500 }, (_, i) => ({
      path: { elem: [{ name: `n${i}` }] },
      val: { string_val: blob },
    }));
    const events = said({ update: { timestamp: '1', update, delete: [{ elem: [{ name: 'd' }] }], atomic: true } });
    expect(events.length).toBe(3);
    expect(events.map((e) => e.data.part)).toEqual([0, 1, 2].map((index) => ({ index, count: 3 })));
    expect(events.map((e) => e.data.deletes)).toEqual([['/d'], undefined, undefined]);
    expect(events.every((e) => e.data.atomic === true)).toBe(true);
    expect(events.flatMap((e) => e.data.updates!.map((u) => u.path))).toEqual(update.map((_, i) => `/n${i}`));
    const huge = said({ update: { update: [{ path: {}, val: { string_val: 'y'.repeat(PART_BYTES * 2) } }] } });
    expect(huge.length).toBe(1);
  });

  it('keeps what cannot be decoded', () => {
    const buf = Buffer.from('0a05', 'hex');
    const e = decodeSubscribeResponse(buf) as DecodeError;
    expect(undecodable(buf, e, FACTS).data).toMatchObject({
      error: { code: 'truncated', offset: 1, layer: 'notification' },
      raw: '0x0a05',
      raw_length: 2,
    });
  });
});

describe('tags', () => {
  it('join prefix and path, without module prefixes', () => {
    expect(tagsOf(path('/oc:a[k=1]'), path('/b[k=2]/c'))).toEqual({ a_k: '1', b_k: '2' });
    expect(tagsOf(path('/a'), path('/b'))).toBeUndefined();
    expect(tagsOf(path('/a[k=1]'), path('/b'))).toEqual({ a_k: '1' });
  });

  it('a clash is named by its path, an equal value once', () => {
    expect(tagsOf(path('/a[k=1]'), path('/a[k=2]'))).toEqual({ a_k: '1', '/a/a_k': '2' });
    expect(tagsOf(path('/a[k=1]'), path('/a[k=1]'))).toEqual({ a_k: '1' });
  });
});

describe('exact JSON', () => {
  const parse = (text: string) => parseJson(Buffer.from(text));

  it.each([
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', '9007199254740993'],
    ['-18446744073709551615', '-18446744073709551615'],
    ['0.1', 0.1],
    ['0.30000000000000004', 0.30000000000000004],
    ['0.3000000000000000400000000000001', '0.3000000000000000400000000000001'],
    ['1.50', 1.5],
    ['1e3', 1000],
    ['1e400', '1e400'],
    ['1e-400', '1e-400'],
    ['0e5', 0],
    ['1234567890123456.0', 1234567890123456],
    ['"9007199254740993"', '9007199254740993'],
  ])('%s', (text, value) => {
    expect(parse(`{"v":[${text}]}`)).toEqual({ v: [value] });
  });

  it('refuses what is no JSON, and what is too deep', () => {
    expect(parse('')).toBeUndefined();
    expect(parse('{a:1}')).toBeUndefined();
    const nest = (n: number) => '['.repeat(n) + ']'.repeat(n);
    expect(parse(nest(MAX_JSON_DEPTH))).toBeDefined();
    expect(parse(nest(MAX_JSON_DEPTH + 1))).toBeUndefined();
    expect(parse('['.repeat(100_000))).toBeUndefined();
    expect(parse(`"${'['.repeat(1000)}\\"${'{'.repeat(1000)}"`)).toBeTypeOf('string');
  });

  it('says what JSON.parse says, where nothing is lost', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false } as object), (value) => {
        const text = JSON.stringify(value);
        const back = parse(text);
        const integersLost = /"?\d{16,}/.test(text);
        if (!integersLost) expect(back).toEqual(JSON.parse(text));
      }),
    );
  });
});
