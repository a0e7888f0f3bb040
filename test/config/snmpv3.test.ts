import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';

const dir = mkdtempSync(join(tmpdir(), 'snmpv3-config-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function load(snmp: string, more = '') {
  const file = join(dir, 'tidegate.yaml');
  writeFileSync(file, `collectors:\n  snmp_trap:\n${snmp.replace(/^/gm, '    ')}\n${more}`);
  return loadConfig(file, {});
}
function snmpOf(snmp: string, more = '') {
  const loaded = load(snmp, more);
  if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config.collectors.snmp_trap!;
}
const VIP = 'lb: {vips: [{name: in, addresses: [203.0.113.10/32]}]}\n';

describe('SNMPv3 in the configuration file', () => {
  it('takes octets in hex as they are written, quoted or not', () => {
    // Each of these is a number to YAML: hexadecimal, a power of ten, decimal.
    for (const [written, id] of [
      ['0x80001f880411223344', '80001f880411223344'],
      ['"0x80001F880411223344"', '80001f880411223344'],
      ['8000e8804112233445', '8000e8804112233445'],
      ['800000000401020304', '800000000401020304'],
    ])
      expect(snmpOf(`engine: {id: ${written}}`).engine.id).toBe(id);
    const master = '9'.repeat(40);
    expect(snmpOf(`users: [{name: a, auth: {protocol: sha1, master_key: ${master}}}]`).users[0].auth?.master_key).toBe(
      master,
    );
    expect(snmpOf('users: [{name: a, auth: {protocol: sha1, passphrase: 0123456789}}]').users[0].auth?.passphrase).toBe(
      '0123456789',
    );
  });

  it('reads secrets from files', () => {
    writeFileSync(join(dir, 'pass'), 'from a file\n');
    const user = '{name: a, auth: {protocol: sha256, passphrase: "${file:pass}"}}';
    expect(snmpOf(`users: [${user}]`).users[0].auth?.passphrase).toBe('from a file');
  });

  it('wants the engine id where there is a VIP and a user', () => {
    const loaded = load('users: [{name: a}]', VIP);
    expect('problems' in loaded && loaded.problems[0]).toMatchObject({ path: 'collectors.snmp_trap.engine.id' });
    expect(snmpOf('users: [{name: a}]\nengine: {id: 0x8000000005010203}', VIP).users).toHaveLength(1);
    expect(snmpOf('communities: [{name: a}]', VIP).users).toEqual([]);
    expect(snmpOf('users: [{name: a}]').engine.id).toBeUndefined();
  });

  it('shows no secret in an error', () => {
    for (const user of [
      '{name: a, auth: {protocol: sha1, master_key: 0xabcdef0123}}',
      '{name: a, auth: {protocol: sha1, passphrase: hush}}',
      '{name: a, auth: {protocol: sha9, passphrase: hush-hush-hush}}',
      '{name: a, priv: {protocol: des, passphrase: hush-hush-hush}}',
      '{name: a, auth: {protocol: sha1, passphrase: hush-hush-hush, pasphrase: hush}}',
    ]) {
      const loaded = load(`users: [${user}]`);
      expect('problems' in loaded && loaded.problems.length).toBeGreaterThan(0);
      expect(JSON.stringify(loaded)).not.toMatch(/hush|abcdef/);
    }
  });
});
