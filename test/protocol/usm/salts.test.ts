/** No two nodes of a cluster, and no two of their workers, ever encrypt with the same salt. */
import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { placeOf } from '../../../src/cluster/place.ts';
import { Salts, saltNode } from '../../../src/protocol/usm/salts.ts';

describe('salts', () => {
  it.each([true, false])(
    'of 16 nodes × 16 workers, collectors and relays, are apart wherever their counters are (des: %s)',
    (des) => {
      // All begin at the same number, and go over its end: nothing runs over into the partition.
      for (const random of ['0000000000', 'fffffffff0', 'ff7ffffff0', '00007ffff0']) {
        const seen = new Set<string>();
        for (let node = 0; node < 16; node++)
          for (let worker = 0; worker < 16; worker++)
            for (const relay of [false, true]) {
              const salts = new Salts(saltNode(node, 's', `n${node}`), worker, relay, Buffer.from(random, 'hex'));
              for (let i = 0; i < 40; i++) seen.add(salts.next(des, 7).toString('hex'));
            }
        expect(seen.size).toBe(16 * 16 * 2 * 40);
      }
      const partitions = new Map<string, Set<string>>();
      for (let node = 0; node < 16; node++)
        for (let worker = 0; worker < 16; worker++)
          for (const relay of [false, true]) {
            const salts = new Salts(node, worker, relay, Buffer.from('ffffffff00', 'hex'));
            const own = new Set<string>();
            for (let i = 0; i < 1000; i++) {
              const salt = salts.next(des, 7);
              own.add(des ? `${salt[4]} ${salt[5] >> 7}` : salt.toString('hex', 0, 3));
            }
            partitions.set(`${node} ${worker} ${relay}`, own);
          }
      for (const own of partitions.values()) expect(own.size).toBe(1);
      expect(new Set([...partitions.values()].map((own) => [...own][0])).size).toBe(16 * 16 * 2);
    },
  );

  it('of DES begin with engineBoots', () => {
    expect(new Salts(1, 2, false, Buffer.alloc(5)).next(true, 0x01020304).toString('hex')).toBe('0102030412000001');
    expect(new Salts(1, 2, true, Buffer.alloc(5)).next(true, 1).toString('hex')).toBe('0000000112800001');
    expect(new Salts(1, 2, true, Buffer.alloc(5)).next(false, 1).toString('hex')).toBe('0001820000000001');
  });

  it('without a cluster follow from the name, and are never those of a place in one', () => {
    expect(saltNode(undefined, 's', 'a')).toBe(saltNode(undefined, 's', 'a'));
    const names = Array.from({ length: 100 }, (_, i) => saltNode(undefined, 's', `edge-${i}`));
    expect(new Set(names).size).toBeGreaterThan(90);
    for (const n of names) expect(n).toBeGreaterThanOrEqual(0x8000);
    expect(saltNode(5, 's', 'a')).toBe(5);
  });
});

describe('the place of a node in its cluster', () => {
  const at = (i: number) => `192.0.2.${i}:11790`;
  const names = ['c', 'a', 'b'];

  it('by names: whether the list has the node itself or not, and in whatever order', () => {
    const named = names.map((node, i) => ({ node, address: at(i) }));
    for (const [i, node] of ['a', 'b', 'c'].entries()) {
      expect(placeOf({ members: named }, node, [])).toBe(i);
      expect(placeOf({ members: named.filter((m) => m.node !== node) }, node, [])).toBe(i);
      expect(placeOf({ members: [...named].reverse() }, node, [])).toBe(i);
    }
  });

  it('by addresses: the one it listens on or has, listed or not', () => {
    const members = [3, 1, 2].map((i) => ({ address: at(i) }));
    for (const i of [1, 2, 3]) {
      expect(placeOf({ members }, 'n', [`192.0.2.${i}`])).toBe(i - 1);
      expect(placeOf({ members, listen: at(i) }, 'n', [])).toBe(i - 1);
      expect(placeOf({ members: members.filter((m) => m.address !== at(i)), listen: at(i) }, 'n', [])).toBe(i - 1);
    }
    expect(placeOf({ members: [{ address: at(1) }, { node: 'x', address: at(2) }] }, 'x', [])).toBe(1);
  });

  it('is not known where nothing says it', () => {
    expect(placeOf(undefined, 'n', ['192.0.2.1'])).toBeUndefined();
    expect(placeOf({ members: [] }, 'n', ['192.0.2.1'])).toBeUndefined();
    expect(placeOf({ members: [{ address: at(1) }] }, 'n', ['192.0.2.9'])).toBeUndefined();
    expect(placeOf({ members: [{ address: at(1) }], listen: '0.0.0.0:11790' }, 'n', [])).toBeUndefined();
  });
});
