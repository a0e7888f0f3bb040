import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatElems, parseOldElement, parsePath } from '../../../src/codec/gnmi/path.ts';
import type { Path, PathElem } from '../../../src/codec/gnmi/types.ts';

function parsed(text: string): Path {
  const p = parsePath(text);
  if (typeof p === 'string') throw new Error(p);
  return p;
}

describe('gNMI path text', () => {
  // Examples of openconfig/reference, rpc/gnmi/gnmi-path-strings.md.
  it.each([
    ['/', []],
    ['/a/b', [{ name: 'a' }, { name: 'b' }]],
    [
      '/interfaces/interface[name=Ethernet1/2/3]/state',
      [{ name: 'interfaces' }, { name: 'interface', key: { name: 'Ethernet1/2/3' } }, { name: 'state' }],
    ],
    ['/a/e[key=[foo]/bar', undefined],
    ['/a/e[key=\\]]/bar', [{ name: 'a' }, { name: 'e', key: { key: ']' } }, { name: 'bar' }]],
    ['/a/e[key=[]/bar', [{ name: 'a' }, { name: 'e', key: { key: '[' } }, { name: 'bar' }]],
    ['/a/e[key=\\\\]/bar', [{ name: 'a' }, { name: 'e', key: { key: '\\' } }, { name: 'bar' }]],
    ['/a/.../counters', [{ name: 'a' }, { name: '...' }, { name: 'counters' }]],
    ['/x/list[a=1][b=*]', [{ name: 'x' }, { name: 'list', key: { a: '1', b: '*' } }]],
  ])('%s', (text, elem) => {
    const p = parsePath(text);
    if (elem === undefined) {
      // A `[` inside a value needs no escape, so this value is `[foo`.
      expect((p as Path).elem[1].key).toEqual({ key: '[foo' });
      return;
    }
    expect((p as Path).elem.map((e) => (e.key ? { name: e.name, key: { ...e.key } } : e))).toEqual(elem);
    expect((p as Path).text).toBe(text);
  });

  it('knows an origin from a module prefix', () => {
    expect(parsed('openconfig:/interfaces').origin).toBe('openconfig');
    expect(parsed('openconfig:/').elem).toEqual([]);
    const module = parsed('openconfig-interfaces:interfaces/interface');
    expect(module.origin).toBe('');
    expect(module.elem.map((e) => e.name)).toEqual(['openconfig-interfaces:interfaces', 'interface']);
  });

  it('sorts keys, so that one path has one text', () => {
    expect(parsed('/l[b=2][a=1]').text).toBe('/l[a=1][b=2]');
  });

  it.each([
    ['', 'empty'],
    [':/a', 'before the colon'],
    ['/a//b', 'without a name at character 4'],
    ['/a[k]', 'without ='],
    ['/a[=v]', 'without a name'],
    ['/a[k=v', 'is missing'],
    ['/a[k=v]b', 'only / or ['],
    ['/a[k=1][k=2]', 'twice'],
    ['/a]', 'without its ['],
    ['/a\\', 'backslash'],
    [`/${'a/'.repeat(65)}`, 'more than 64'],
  ])('says what is wrong with %j', (text, words) => {
    expect(parsePath(text)).toContain(words);
  });

  it('parses back whatever it writes', () => {
    const name = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(...'ab/[]\\=:.* é') });
    const key = fc.dictionary(name, fc.string({ maxLength: 12, unit: fc.constantFrom(...'ab/[]\\= é') }), {
      minKeys: 1,
      maxKeys: 4,
    });
    const elem = fc.record({ name, key: fc.option(key, { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(elem, { minLength: 1, maxLength: 6 }), (elems) => {
        const text = formatElems(elems as PathElem[]);
        const back = parsed(text);
        expect(back.elem.map((e) => ({ name: e.name, key: e.key && { ...e.key } }))).toEqual(
          elems.map((e) => ({ name: e.name, key: e.key && { ...e.key } })),
        );
        expect(back.origin).toBe('');
        expect(back.text).toBe(text);
      }),
    );
  });

  it('reads elements of the old form, and keeps what it cannot read as a name', () => {
    expect(parseOldElement('interface[name=a/b]').key).toEqual({ name: 'a/b' });
    expect(parseOldElement('odd[name')).toEqual({ name: 'odd[name' });
    expect(parseOldElement('a/b')).toEqual({ name: 'a/b' });
  });
});
