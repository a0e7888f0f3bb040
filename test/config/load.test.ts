import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, loadLocation } from '../../src/config/load.ts';
import { mergeLive, planReload } from '../../src/config/plan.ts';
import { redact } from '../../src/config/redact.ts';
import { formatProblem, nearest } from '../../src/config/yaml.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tidegate-config-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function file(text: string, name = 'tidegate.yaml'): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

function problemsOf(text: string, env: Record<string, string> = {}): string[] {
  const loaded = loadConfig(file(text), env);
  return 'problems' in loaded ? loaded.problems.map(formatProblem) : [];
}

function configOf(text: string, env: Record<string, string> = {}) {
  const loaded = loadConfig(file(text), env);
  if ('problems' in loaded) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.config;
}

describe('mibs and alarms', () => {
  it('paths are seen from the configuration file, and a change is live', () => {
    const before = configOf('mibs: {paths: [vendor, /etc/mibs]}\n');
    expect(before.mibs.paths).toEqual([join(dir, 'vendor'), '/etc/mibs']);
    file('rules: [{on: [coldStart], state: none}]\n', 'alarms.yaml');
    const after = configOf('alarms: {file: alarms.yaml}\n');
    expect(after.alarms).toEqual({ file: join(dir, 'alarms.yaml') });
    expect(planReload(before, after)).toEqual({ live: ['mibs', 'alarms'], restart: [] });
    expect(mergeLive(before, after)).toEqual(after);
  });

  it('own rules come before the built-in ones; a wrong file is refused with its line', () => {
    file('rules: [{on: [coldStart], state: none}]\n', 'alarms.yaml');
    const loaded = loadConfig(file('alarms: {file: alarms.yaml}\n'), {});
    if ('problems' in loaded) throw new Error('problems');
    expect(loaded.alarms[0]).toEqual({ on: ['coldStart'], state: 'none' });
    expect(loaded.alarms.length).toBeGreaterThan(20);
    file('rules:\n  - on: [coldStart]\n    state: nothing\n', 'alarms.yaml');
    expect(problemsOf('alarms: {file: alarms.yaml}\n')).toEqual([
      expect.stringMatching(/alarms\.yaml:3: rules\.0\.state: .*got "nothing"; allowed: raised, cleared, event, none/),
    ]);
    expect(problemsOf('alarms: {file: nowhere.yaml}\n')).toEqual([
      expect.stringMatching(/nowhere\.yaml: cannot be read/),
    ]);
  });
});

describe('no file at all', () => {
  it('listens on loopback, takes community public from loopback, prints, and announces nothing', () => {
    const loaded = loadConfig(undefined, {});
    if ('problems' in loaded) throw new Error('problems');
    const { config } = loaded;
    expect(config.collectors.snmp_trap?.listen.map((l) => l.address)).toEqual(['127.0.0.1', '::1']);
    expect(config.collectors.snmp_trap?.communities).toEqual([{ name: 'public', from: ['127.0.0.0/8', '::1/128'] }]);
    expect(config.collectors.bmp?.listen).toEqual([{ address: '127.0.0.1', port: 11019 }]);
    expect(config.collectors.bgp?.listen).toEqual([{ address: '127.0.0.1', port: 1179 }]);
    expect(Object.keys(config.export.exporters)).toEqual(['stdout']);
    expect(config.lb.vips).toEqual([]);
    expect(config.spool.max_bytes).toBe(10 * 2 ** 30);
  });
});

describe('a file', () => {
  it('takes only what it names: no community means that nothing is accepted', () => {
    const config = configOf('collectors: {snmp_trap: {}}\n');
    expect(config.collectors.snmp_trap?.communities).toEqual([]);
    expect(config.collectors.bmp).toBeUndefined();
  });

  it('accepts an empty section as all its defaults', () => {
    expect(configOf('collectors:\n  bmp:\n').collectors.bmp?.listen).toEqual([{ address: '127.0.0.1', port: 11019 }]);
  });

  it('takes a spool that is smaller than what is retained by default', () => {
    expect(configOf('spool: {max_bytes: 256MiB}\n').spool.max_bytes).toBe(256 * 2 ** 20);
  });

  it('parses durations, sizes and both listener forms', () => {
    const config = configOf(
      'spool: {max_bytes: 256MiB, retain: 16MiB}\nlb: {rise: 1m30s}\ncollectors: {snmp_trap: {listen: ["[2001:db8::1]:162", {address: 192.0.2.1, port: 163, ack: export}]}}\n',
    );
    expect(config.spool.max_bytes).toBe(256 * 2 ** 20);
    expect(config.lb.rise).toBe(90_000);
    expect(config.collectors.snmp_trap?.listen).toEqual([
      { address: '2001:db8::1', port: 162 },
      { address: '192.0.2.1', port: 163, ack: 'export' },
    ]);
  });

  it('keeps stdout out where Kafka is configured, and lets it be asked for', () => {
    expect(Object.keys(configOf('export: {kafka: {brokers: ["127.0.0.1:9092"]}}\n').export.exporters)).toEqual([
      'kafka',
    ]);
  });
});

describe('what is wrong is said with file, line, value, what is allowed and the nearest key', () => {
  it.each([
    [
      'an unknown key',
      'site: a\ncollectors:\n  snmp_trap:\n    comunities: []\n',
      /:4: collectors\.snmp_trap\.comunities: unknown key `comunities`; did you mean `communities`\?; allowed: listen, communities/,
    ],
    [
      'an unknown key at the top',
      'colectors: {}\n',
      /:1: colectors: unknown key `colectors`; did you mean `collectors`\?/,
    ],
    [
      'an unknown key with a mapping below it',
      'collectors:\n  snmp_trap: {}\ncolectors:\n  bmp: {}\n',
      /:3: colectors: unknown key/,
    ],
    ['a feature that does not exist', 'lb: {carp: []}\n', /:1: lb\.carp: unknown key `carp`/],
    [
      'a VRID that is no number of one octet',
      'lb:\n  vips: [{name: a, addresses: [192.0.2.1/32]}]\n  vrrp:\n    - {vrid: 256, interface: eth0, vips: [a]}\n',
      /:4: lb\.vrrp\.0\.vrid: .*255/,
    ],
    [
      'a virtual router of an unknown VIP',
      'lb:\n  vrrp:\n    - {vrid: 1, interface: eth0, vips: [a]}\n',
      /:3: lb\.vrrp\.0\.vips\.0: .*a name of lb\.vips/,
    ],
    ['a bad duration', 'lb:\n  rise: soon\n', /:2: lb\.rise: must be a duration such as 200ms, 5s, 1h30m; got "soon"/],
    [
      'a bad address',
      'collectors:\n  snmp_trap:\n    listen:\n      - 300.1.1.1:162\n',
      /:4: .*must be ADDR:PORT such as 192\.0\.2\.1:1162.*got "300\.1\.1\.1:162"/,
    ],
    ['a bad enum', 'log: {level: loud}\n', /:1: log\.level: .*got "loud".*allowed: debug, info, warn, error/],
    ['a VIP that is no host route', 'lb: {vips: [{name: a, addresses: [192.0.2.0/24]}]}\n', /must be one address/],
    [
      'a VIP that does not exist',
      'lb: {vips: [{name: ingress, addresses: [192.0.2.1/32]}]}\ncollectors: {snmp_trap: {listen: [{vip: ingres, port: 162}]}}\n',
      /:2: .*no such VIP under lb\.vips; got "ingres"; did you mean `ingress`\?/,
    ],
    [
      'a network that does not exist',
      'collectors: {bmp: {listen: [{address: 127.0.0.1, port: 1, network: mgmt}]}}\n',
      /no such network.*got "mgmt".*allowed: default/,
    ],
    ['broken YAML', 'site: [a\n', /not valid YAML/],
    ['a missing variable', 'site: ${SITE}\n', /:1: the environment variable SITE is not set/],
    ['a variable with a message', 'site: ${SITE:?name the site}\n', /:1: SITE: name the site/],
    ['a file that is not there', 'site: ${file:/no/such/file}\n', /cannot be read/],
  ])('%s', (_name, text, expected) => {
    const problems = problemsOf(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join('\n')).toMatch(expected);
  });

  it('says every problem, not only the first', () => {
    expect(problemsOf('sit: a\nnod: b\nlog: {level: x}\n').length).toBe(3);
  });
});

describe('variables', () => {
  it('are expanded in scalars after the parse, with their type where they stand alone and unquoted', () => {
    const config = configOf('site: dc-${N:-1}\nworkers: ${W}\nnode: "${NODE}"\nuser: a$$b\n', { W: '3', NODE: '17' });
    expect([config.site, config.workers, config.node, config.user]).toEqual(['dc-1', 3, '17', 'a$b']);
  });

  it('cannot bring structure in', () => {
    expect(configOf('user: ${X}\n', { X: 'a\nworkers: 9' }).workers).toBe('auto');
  });

  it('read secrets from files without the last line feed', () => {
    const secret = file('s3cret\n', 'secret');
    expect(
      configOf(`collectors: {snmp_trap: {communities: [{name: "\${file:${secret}}"}]}}\n`).collectors.snmp_trap
        ?.communities[0].name,
    ).toBe('s3cret');
  });
});

describe('reload', () => {
  const base = 'collectors: {snmp_trap: {communities: [{name: a}]}}\n';

  it('takes communities over live and names what waits for a restart', () => {
    const before = configOf(base);
    const after = configOf(
      'site: other\ncollectors: {snmp_trap: {communities: [{name: b}], listen: ["127.0.0.1:99"]}}\n',
    );
    expect(planReload(before, after)).toEqual({
      live: ['collectors.snmp_trap.listen', 'collectors.snmp_trap.communities'],
      restart: ['site'],
    });
    const merged = mergeLive(before, after);
    expect(merged.collectors.snmp_trap?.communities).toEqual([{ name: 'b' }]);
    expect(merged.collectors.snmp_trap?.listen).toEqual(after.collectors.snmp_trap?.listen);
    expect(merged.site).toBe('default');
  });

  it('is empty where nothing changed', () => {
    expect(planReload(configOf(base), configOf(base))).toEqual({ live: [], restart: [] });
  });
});

describe('printing', () => {
  it('masks communities and passwords', () => {
    const text = JSON.stringify(
      redact(
        configOf(
          'collectors: {snmp_trap: {communities: [{name: s3cret}]}}\nexport: {kafka: {brokers: ["127.0.0.1:9092"], sasl: {mechanism: plain, username: u, password: hush}}}\n',
        ),
      ),
    );
    expect(text).not.toMatch(/s3cret|hush/);
    expect(text).toMatch(/"username":"u"/);
  });
});

describe('secrets', () => {
  it('are not shown in an error', () => {
    const said = problemsOf(
      'collectors:\n  snmp_trap: {communities: [{name: [1234567]}]}\nexport:\n  kafka: {brokers: [b:9092], sasl: {mechanism: plain, username: u, password: [7654321]}}\n',
    );
    expect(said.length).toBeGreaterThan(0);
    expect(said.join()).not.toMatch(/1234567|7654321/);
    const plain = problemsOf('collectors:\n  snmp_trap: {communities: [{name: 1234567}]}\n');
    expect(plain).toHaveLength(1);
    expect(plain[0]).not.toContain('1234567');
  });

  it('a wrong value that is none is shown, and of a mapping its keys', () => {
    const said = problemsOf(
      [
        'collectors: {snmp_trap: {communities: [{name: hush, from: [10.0.0.0/99]}, hush]}}',
        'lb: {bgp: {asn: 1, peers: [{address: 192.0.2.1, asn: 2, communities: [7]}]}}',
        'export: {kafka: {brokers: ["b:9092"], sasl: {mechanism: plain, password: hush}}}',
        'admin: {api: {listen: "127.0.0.1:1", tokens: [{name: a, role: boss, token: hush}]}}',
      ].join('\n'),
    ).join('\n');
    expect(said).toMatch(/communities\.0\.from\.0: must be a prefix .*; got "10\.0\.0\.0\/99"/);
    expect(said).toMatch(/peers\.0\.communities\.0: .*; got 7/);
    expect(said).toMatch(/sasl: must be username and password; got \{mechanism, password\}/);
    expect(said).toMatch(/tokens\.0\.role: .*got "boss"/);
    expect(said).not.toContain('hush');
  });

  it('of digits stay text', () => {
    const config = configOf('collectors:\n  snmp_trap:\n    communities:\n      - name: $' + '{COMMUNITY}\n', {
      COMMUNITY: '007',
    });
    expect(config.collectors.snmp_trap?.communities).toEqual([{ name: '007' }]);
  });

  it('given inline as PEM are masked', () => {
    const pem = '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----';
    expect(redact({ tls: { key: pem, ca: 'ca.pem' } })).toEqual({ tls: { key: '***', ca: 'ca.pem' } });
  });
});

describe('files', () => {
  it('are where the configuration says, seen from the configuration', () => {
    writeFileSync(join(dir, 'community'), 'c1\n');
    const config = configOf(
      'collectors:\n  snmp_trap:\n    communities:\n      - name: $' +
        '{file:community}\nexport:\n  kafka: {brokers: ["b:9092"], tls: {ca: ca.pem}}\n',
    );
    expect(config.collectors.snmp_trap?.communities).toEqual([{ name: 'c1' }]);
    const kafka = config.export.exporters.kafka;
    expect(kafka.type === 'kafka' && kafka.tls?.ca).toBe(join(dir, 'ca.pem'));
  });
});

describe('the nearest key', () => {
  it('is offered for a slip, not for another word', () => {
    expect(nearest('retian', ['retain', 'max_bytes'])).toBe('retain');
    expect(nearest('kafka', ['retain', 'max_bytes'])).toBeUndefined();
  });
});

describe('where a running instance is found', () => {
  it('does not depend on what else the file says, nor on secrets that this user cannot read', () => {
    const text =
      'data_dir: ${WHERE:-/var/lib/tidegate}\nadmin: {socket: a.sock, lisen: 1}\ncolectors: {}\nlb: {bgp: {peers: [{password: "${file:/nonexistent}"}]}}\n';
    expect(problemsOf(text)).not.toEqual([]);
    expect(loadLocation(file(text), {})).toEqual({ dataDir: '/var/lib/tidegate', socket: 'a.sock' });
    expect(loadLocation(file(text), { WHERE: '/x' })).toEqual({ dataDir: '/x', socket: 'a.sock' });
    expect(loadLocation(file(''), {})).toEqual({ dataDir: './data', socket: 'admin.sock' });
    expect(loadLocation(file('data_dir: [1]\n'), {})).toBeUndefined();
    expect(loadLocation(file('a: [\n'), {})).toBeUndefined();
  });
});
