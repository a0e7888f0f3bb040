/** `config print`: what it prints is a configuration file, means the same, and has no secret in it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { MASK } from '../../src/config/document.ts';
import { loadConfig } from '../../src/config/load.ts';
import { mergeLiveDocument, planReload } from '../../src/config/plan.ts';
import { configSchema } from '../../src/config/schema.ts';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const SECRET = 'a-secret-of-24-characters';
const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const ENV = { KAFKA_PASSWORD: SECRET, TIDEGATE_NODE: 'edge-1' };

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tidegate-document-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

let files = 0;
function write(text: string, where = `${++files}.yaml`): string {
  const file = join(dir, where);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

function load(file: string) {
  const loaded = loadConfig(file, ENV);
  if ('problems' in loaded) throw new Error(`${JSON.stringify(loaded.problems)}\n${readFileSync(file, 'utf8')}`);
  return loaded;
}

/** Prints what `text` is understood as, reads that from another folder, and holds it against the first. Returns what was printed. */
function roundTrip(text: string): string {
  const first = load(write(text));
  const printed = stringify(first.document);
  const second = load(write(printed, `elsewhere/${files}.yaml`));
  const masked = JSON.stringify(first.document).includes(MASK);
  if (!masked) expect(second.config).toEqual(first.config);
  // Printed again it is the same, secret or not.
  expect(second.document).toEqual(first.document);
  return printed;
}

/** Whole configurations in the pages: their secrets and certificates are put where they say, below `dir`. */
function examples(): { name: string; text: string }[] {
  const pages = ['README.md', ...readdirSync(join(REPO, 'docs')).map((f) => join('docs', f))];
  const found: { name: string; text: string }[] = [];
  for (const page of pages.filter((p) => p.endsWith('.md'))) {
    const blocks = readFileSync(join(REPO, page), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g);
    for (const [, text] of blocks) {
      const value: unknown = parse(text);
      if (typeof value !== 'object' || value === null || Array.isArray(value)) continue;
      if (!Object.keys(value).every((k) => k in configSchema.shape)) continue;
      found.push({ name: `${page} ${Object.keys(value).join(' ')} ${found.length}`, text });
    }
  }
  const charts = join(REPO, 'charts/tidegate/ci');
  for (const file of readdirSync(charts)) {
    const { site, config } = parse(readFileSync(join(charts, file), 'utf8')) as { site?: string; config: object };
    found.push({ name: file, text: stringify(site === undefined ? config : { site, ...config }) });
  }
  return found;
}

describe('the configuration as it is printed', () => {
  it.each(examples())('is a file that means the same: $name', ({ text }) => {
    let local = text;
    for (const [, path] of text.matchAll(/\$\{file:([^}]+)\}/g)) {
      const file = path.startsWith('/') ? path.slice(1) : path;
      write(/\.(pem|crt|key|cert)$/.test(file) ? PEM : `${SECRET}\n`, file);
      local = local.replaceAll(`\${file:${path}}`, `\${file:${join(dir, file)}}`);
    }
    write('[]\n', 'devices.yaml');
    write('[]\n', 'alarms.yaml');
    let loaded = loadConfig(write(local), ENV);
    // A fragment of a page may leave out what another page has; then it is no configuration, and nothing is printed of it.
    if ('problems' in loaded) {
      expect(loaded.problems.length, JSON.stringify(loaded.problems)).toBeGreaterThan(0);
      return;
    }
    loaded = load(write(local));
    expect(roundTrip(local)).not.toContain(SECRET);
  });

  it('covers the pages', () => {
    const whole = examples().filter(
      ({ text }) => !('problems' in loadConfig(write(text.replaceAll(/\$\{file:[^}]+\}/g, SECRET)), ENV)),
    );
    expect(whole.length).toBeGreaterThanOrEqual(12);
  });

  it('has durations, sizes, addresses and sections as they are written, and every default', () => {
    const { document } = load(
      write(
        'spool: {max_bytes: 2GiB}\nlb: {rise: 5s}\nexport: {kafka: {brokers: ["b:9092"], linger: 20ms}}\nadmin: {listen: "127.0.0.1:9700"}\n',
      ),
    );
    expect(document).toMatchObject({
      spool: { max_bytes: '2GiB', retain: '1GiB', high_water: 0.8 },
      lb: { rise: '5s', lease: { interval: '200ms', timeout: '1s' }, vips: [] },
      export: { flush_timeout: '20s', kafka: { brokers: ['b:9092'], linger: '20ms', compression: 'zstd' } },
      admin: { listen: '127.0.0.1:9700', speaker_listen: '127.0.0.1:9601' },
      collectors: { snmp_trap: { listen: ['127.0.0.1:1162'], communities: [] } },
    });
    expect(document.export).not.toHaveProperty('exporters');
    expect(document.export).not.toHaveProperty('stdout');
    expect(load(write('site: x\n')).document.export as object).toHaveProperty('stdout');
  });

  it('leaves references to secrets, masks those that stand in the file, and stays valid', () => {
    write(`${SECRET}\n`, 'secrets/community');
    write(PEM.replaceAll('CERTIFICATE', 'PRIVATE KEY'), 'secrets/key.pem');
    write(PEM, 'secrets/cert.pem');
    const inline = [
      'literal-community',
      'literal-passphrase',
      'literal-password-1',
      'literal-cluster-secret',
      'c'.repeat(64),
    ];
    const text = stringify({
      collectors: {
        snmp_trap: {
          communities: [{ name: '${file:secrets/community}' }, { name: inline[0], from: ['10.0.0.0/8'] }],
          engine: { id: '0x80001f8804112233' },
          users: [
            { name: 'a', auth: { protocol: 'sha256', passphrase: inline[1] } },
            { name: 'b', auth: { protocol: 'sha256', master_key: inline[4] } },
          ],
        },
        gnmi: {
          targets: [
            {
              name: 'pe1',
              address: 'pe1.example:57400',
              password: 'pa$$$${x}',
              tls: { cert: '${file:secrets/cert.pem}', key: '${file:secrets/key.pem}' },
              subscriptions: ['s'],
            },
          ],
          subscriptions: { s: { paths: ['/interfaces/interface[name=eth0]/state'], sample_interval: '10s' } },
        },
      },
      cluster: { listen: '192.0.2.1', members: ['192.0.2.2'], secret: inline[3] },
      lb: { bgp: { asn: 1, peers: [{ address: '192.0.2.3', asn: 2, password: inline[2], communities: ['65000:1'] }] } },
      export: {
        kafka: {
          brokers: ['b:9092'],
          sasl: { mechanism: 'plain', username: 'u$$1', password: '${KAFKA_PASSWORD:-otherwise}' },
        },
      },
      inventory: { file: 'devices.yaml' },
    });
    const printed = roundTrip(text);
    for (const secret of [SECRET, 'otherwise', 'pa$', ...inline]) expect(printed).not.toContain(secret);
    expect(printed).not.toMatch(/PRIVATE KEY/);
    const document = parse(printed) as Record<string, never>;
    expect(document).toMatchObject({
      collectors: {
        snmp_trap: { communities: [{ name: `\${file:${join(dir, 'secrets/community')}}` }, { name: MASK }] },
        gnmi: { targets: [{ tls: { key: `\${file:${join(dir, 'secrets/key.pem')}}` } }] },
      },
      lb: { bgp: { peers: [{ communities: ['65000:1'] }] } },
      export: { kafka: { sasl: { username: 'u$$1', password: '${KAFKA_PASSWORD}' } } },
      inventory: { file: join(dir, 'devices.yaml') },
    });
    expect(load(write(printed, 'elsewhere/again.yaml')).config.export.exporters.kafka).toMatchObject({
      sasl: { username: 'u$1', password: SECRET },
    });
  });

  it('of a running instance shows what was taken over live, and not what waits for a restart', () => {
    const before = load(write('site: a\ncollectors: {snmp_trap: {communities: [{name: "${KAFKA_PASSWORD}"}]}}\n'));
    const after = load(write('site: b\ncollectors: {snmp_trap: {ack: spool, communities: []}}\n'));
    expect(planReload(before.config, after.config).restart).toEqual(['site']);
    expect(mergeLiveDocument(before.document, after.document, before.config, after.config)).toMatchObject({
      site: 'a',
      collectors: { snmp_trap: { ack: 'spool', communities: [] } },
    });
  });

  it('goes from one command into the other', () => {
    const cli = (words: string[], input = '') =>
      spawnSync(process.execPath, [join(REPO, 'src/main.ts'), ...words], { encoding: 'utf8', input, cwd: dir });
    const file = write('collectors: {snmp_trap: {communities: [{name: hidden-community}]}}\n', 'sub/tidegate.yaml');
    for (const more of [[], ['-o', 'json']]) {
      const printed = cli(['config', 'print', '-c', file, ...more]);
      expect([printed.status, printed.stderr]).toEqual([0, '']);
      expect(printed.stdout).not.toContain('hidden-community');
      const checked = cli(['check', '-c', '-'], printed.stdout);
      expect(checked).toMatchObject({ status: 0, stderr: '' });
      expect(checked.stdout).toMatch(/^-: valid/);
    }
    expect(cli(['config', 'print']).stdout).toMatch(/communities:\n.*name: "?\*+/);
    expect(cli(['run', '-c', '-']).status).toBe(64);
  });
});
