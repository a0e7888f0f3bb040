import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseIp, parsePrefix, prefixContains } from '../../src/core/ip.ts';
import { PrefixSet } from '../../src/core/prefix-set.ts';
import { aclOf } from '../../src/core/source-acl.ts';

const address = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 4 }).map((b) => b.join('.')),
  fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 8, maxLength: 8 }).map((b) => b.join(':')),
);
const prefix = fc
  .tuple(address, fc.integer({ min: 0, max: 128 }))
  .map(([a, l]) => `${a}/${a.includes(':') ? l : l % 33}`);

it('finds what a search through all prefixes finds', () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 60 }), fc.array(address, { maxLength: 20 }), (prefixes, addresses) => {
      const set = new PrefixSet();
      const all = prefixes.map((p) => parsePrefix(p)!);
      all.forEach((p, i) => {
        set.add(p, i + 1);
      });
      for (const a of addresses) {
        const bytes = parseIp(a)!;
        let best = 0;
        let length = -1;
        all.forEach((p, i) => {
          if (p.length >= length && prefixContains(p, bytes)) {
            best = i + 1;
            length = p.length;
          }
        });
        expect(set.find(bytes)).toBe(best);
      }
    }),
    { numRuns: 200 },
  );
});

it('holds thousands of prefixes, and an IPv4-mapped source counts as IPv4', () => {
  const set = new PrefixSet();
  for (let i = 0; i < 5000; i++) set.add(parsePrefix(`10.${i >> 8}.${i & 255}.0/24`)!, i + 1);
  expect(set.size).toBe(5000);
  expect(set.find(parseIp('10.19.7.200')!)).toBe(19 * 256 + 8);
  expect(set.find(parseIp('::ffff:10.0.3.1')!)).toBe(4);
  expect(set.find(parseIp('11.0.0.1')!)).toBe(0);
});

it('the longest prefix decides; deny wins between equals; no list is no rule', () => {
  const acl = aclOf({ allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.1.0.0/16', '2001:db8::/32'] })!;
  const allows = (a: string): boolean => acl.allows(parseIp(a)!);
  expect([allows('10.2.0.1'), allows('10.1.0.1'), allows('192.0.2.1'), allows('2001:db8::1')]).toEqual([
    true,
    false,
    false,
    false,
  ]);
  const open = aclOf({ deny: ['10.0.0.0/8'] })!;
  expect([open.allows(parseIp('10.0.0.1')!), open.allows(parseIp('192.0.2.1')!)]).toEqual([false, true]);
  expect(aclOf({})).toBeUndefined();
});
