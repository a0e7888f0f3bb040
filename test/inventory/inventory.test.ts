import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadInventory } from '../../src/config/inventory-file.ts';
import { formatProblem } from '../../src/config/yaml.ts';
import { DeviceTable } from '../../src/inventory/inventory.ts';

const PE1 = { id: 'pe1', name: 'PE 1', site: 'dc1', match: [{ address: '192.0.2.1' }, { bgp_id: '10.0.0.1' }] };
const PE2 = {
  id: 'pe2',
  name: 'PE 2',
  match: [{ network: 'mgmt-a', address: '192.0.2.1' }, { sys_name: 'pe2.example' }],
};

describe('resolving a device', () => {
  it('gives the same address in two networks two devices', () => {
    const t = new DeviceTable([PE1, PE2]);
    expect(t.resolve({ network: 'default', address: '192.0.2.1' }).id).toBe('pe1');
    expect(t.resolve({ network: 'mgmt-a', address: '192.0.2.1' }).id).toBe('pe2');
    expect(t.resolve({ network: 'mgmt-b', address: '192.0.2.1' }).id).toBe('mgmt-b|192.0.2.1');
  });

  it('believes what the device says of itself before its address', () => {
    const t = new DeviceTable([PE1, { ...PE2, match: [{ sys_name: 'pe2.example' }] }]);
    expect(t.resolve({ network: 'default', address: '192.0.2.1', sysName: 'pe2.example' }).id).toBe('pe2');
  });

  it('gives one frozen object a device, without its matches', () => {
    const t = new DeviceTable([PE1]);
    const d = t.resolve({ network: 'default', address: '192.0.2.1' });
    expect(t.resolve({ network: 'default', address: '192.0.2.9', bgpId: '10.0.0.1' })).toBe(d);
    expect(d).toEqual({ id: 'pe1', name: 'PE 1', site: 'dc1' });
    expect(Object.isFrozen(d)).toBe(true);
  });

  it('forgets what it knew when it is replaced', () => {
    const t = new DeviceTable([]);
    const hints = { network: 'default', address: '192.0.2.1' };
    expect(t.resolve(hints).id).toBe('default|192.0.2.1');
    const version = t.version;
    t.replace([PE1]);
    expect(t.version).toBe(version + 1);
    expect(t.resolve(hints).id).toBe('pe1');
  });

  it('finds devices by id, name and address', () => {
    const t = new DeviceTable([PE1, PE2]);
    expect(t.find('pe1').map((d) => d.id)).toEqual(['pe1']);
    expect(t.find('PE 2').map((d) => d.id)).toEqual(['pe2']);
    expect(
      t
        .find('192.0.2.1')
        .map((d) => d.id)
        .sort(),
    ).toEqual(['pe1', 'pe2']);
    expect(t.addressesOf('pe2')).toEqual([['mgmt-a', '192.0.2.1']]);
  });
});

describe('the inventory file', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'tidegate-inventory-'));
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const load = (text: string) => {
    const file = join(dir, 'devices.yaml');
    writeFileSync(file, text);
    return loadInventory(file);
  };

  it('normalises addresses and names a device by its id where it has no name', () => {
    const { entries, problems } = load('- {id: a, match: [{address: "2001:DB8:0::1"}]}\n');
    expect(problems).toEqual([]);
    expect(entries).toEqual([{ id: 'a', name: 'a', match: [{ address: '2001:db8::1' }] }]);
  });

  it.each([
    [
      'a second id',
      '- {id: a, match: [{address: 192.0.2.1}]}\n- {id: a, match: [{address: 192.0.2.2}]}\n',
      /:2: .*id a stands twice/,
    ],
    [
      'an address two devices claim',
      '- {id: a, match: [{address: 192.0.2.1}]}\n- {id: b, match: [{address: 192.0.2.1}]}\n',
      /:2: .*also claimed by a/,
    ],
    ['an unknown key', '- {id: a, mach: []}\n', /unknown key `mach`; did you mean `match`\?/],
    ['no match', '- {id: a, match: [{network: x}]}\n', /one of address, engine_id/],
  ])('refuses %s', (_n, text, expected) => {
    const { entries, problems } = load(text);
    expect(entries).toEqual([]);
    expect(problems.map(formatProblem).join('\n')).toMatch(expected);
  });
});
