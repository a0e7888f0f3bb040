import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { redact } from '../../src/config/redact.ts';
import { formatProblem } from '../../src/config/yaml.ts';
import { confirms, isDurable, wantsRaw } from '../../src/export/config.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-config-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function load(listen: string, exporters: string, more = '') {
  const path = join(dir, 'tidegate.yaml');
  writeFileSync(path, `collectors: {snmp_trap: {listen: [${listen}]}}\nexport: {${exporters}}\n${more}`);
  return loadConfig(path, {});
}

function problems(...args: Parameters<typeof load>): string[] {
  const loaded = load(...args);
  return 'problems' in loaded ? loaded.problems.map(formatProblem) : [];
}

const relay = (target: string) => `nms: {type: relay, targets: ['${target}'], community: x}`;
const VIP = 'lb: {vips: [{name: v, addresses: [203.0.113.10/32]}]}\n';

describe('configuration of a relay', () => {
  it.each([
    ["'192.0.2.1:1162'", '192.0.2.1:1162', ''],
    ["'0.0.0.0:1162'", '127.0.0.1:1162', ''],
    ["'[::]:1162'", '[::1]:1162', ''],
    ['{vip: v, port: 1162}', '203.0.113.10:1162', VIP],
    ["'0.0.0.0:1162'", '203.0.113.10:1162', VIP],
  ])('listening on %s refuses the target %s', (listen, target, more) => {
    expect(problems(listen, relay(target), more)).toEqual([
      expect.stringMatching(/tidegate\.yaml:2: export\.nms\.targets\.0: this node listens there/),
    ]);
  });

  it.each([
    ["'192.0.2.1:1162'", '192.0.2.1:162', ''],
    ["'192.0.2.1:1162'", '192.0.2.2:1162', ''],
    ["'0.0.0.0:1162'", '198.51.100.7:1162', ''],
    ['{vip: v, port: 1162}', '203.0.113.11:1162', VIP],
  ])('listening on %s accepts the target %s', (listen, target, more) => {
    expect(problems(listen, relay(target), more)).toEqual([]);
  });

  it('is durable unless it says not, confirms nothing, and wants datagrams only where it is raw', () => {
    const loaded = load(
      "'127.0.0.1:1162'",
      `${relay('192.0.2.9:162')}, loose: {type: relay, targets: ['192.0.2.9:162'], format: raw, durable: false}`,
    );
    if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
    const { exporters } = loaded.config.export;
    expect([exporters.nms, exporters.loose, exporters.stdout].map(isDurable)).toEqual([true, false, false]);
    expect(Object.values(exporters).some(confirms)).toBe(false);
    expect(wantsRaw(loaded.config.export)).toBe(true);
    expect(wantsRaw({ flush_timeout: 0, exporters: { nms: exporters.nms } })).toBe(false);
    expect(JSON.stringify(redact(loaded.config))).not.toContain('"community":"x"');
  });
});
