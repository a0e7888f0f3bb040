import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importVerb } from '../../src/cli/import.ts';
import { importSnmptrapd, withSecrets } from '../../src/config/import-snmptrapd.ts';
import { loadConfig } from '../../src/config/load.ts';

const SAMPLE = `# a comment
snmpTrapdAddr udp:162,udp6:[::1]:1162
exactEngineID 0x80001f880411223344
authCommunity log,execute,net public
authCommunity log "secret $word" 10.0.0.0/255.0.0.0
authCommunity log "secret $word" 192.0.2.1
authCommunity log named router.example
createUser noc SHA-256 "auth passphrase" AES "priv passphrase"
createUser -e 0x8000000001020304 core MD5 md5-password DES
createUser cisco SHA shashasha AES-256-C aesaesaes
createUser stranger SHA shashasha
authUser log noc priv
authUser log,net -s usm core
authUser log cisco
authUser log nobody
traphandle default /usr/bin/handler
forward default udp:192.0.2.9
forward default 192.0.2.10:1162
forward .1.3.6.1.6.3.1.1.5.3 192.0.2.11
forward default nms.example:162
format1 %V
frobnicate yes
`;

const lines = (list: { line: number; text: string }[]) => list.map((l) => `${l.line}: ${l.text}`);

describe('import of snmptrapd.conf', () => {
  it('takes who may send, where it listens, and to whom it forwards', () => {
    const i = importSnmptrapd(SAMPLE);
    expect(i.errors).toEqual([]);
    expect(withSecrets(i, (s) => `<${s.name}=${s.value}>`)).toEqual({
      collectors: {
        snmp_trap: {
          listen: ['0.0.0.0:162', '[::1]:1162'],
          engine: { id: '0x80001f880411223344' },
          communities: [
            { name: '<community-1=public>' },
            { name: '<community-2=secret $word>', from: ['10.0.0.0/8', '192.0.2.1'] },
          ],
          users: [
            {
              name: 'noc',
              auth: { protocol: 'sha256', passphrase: '<user-noc-auth=auth passphrase>' },
              priv: { protocol: 'aes128', passphrase: '<user-noc-priv=priv passphrase>' },
            },
            {
              name: 'core',
              engine_id: '0x8000000001020304',
              auth: { protocol: 'md5', passphrase: '<user-core-auth=md5-password>' },
              priv: { protocol: 'des', passphrase: '<user-core-priv=md5-password>' },
              level: 'authNoPriv',
            },
            {
              name: 'cisco',
              auth: { protocol: 'sha1', passphrase: '<user-cisco-auth=shashasha>' },
              priv: { protocol: 'aes256c', passphrase: '<user-cisco-priv=aesaesaes>' },
              level: 'authNoPriv',
            },
          ],
        },
      },
      export: {
        stdout: { enabled: true },
        forward: { type: 'relay', targets: ['192.0.2.9:162', '192.0.2.10:1162'], format: 'raw' },
      },
    });
  });

  it('names what it leaves out, each with its line', () => {
    const said = lines(importSnmptrapd(SAMPLE).notes);
    for (const start of [
      '7: the source',
      '11: the user stranger',
      '15: the user nobody',
      '16: traphandle',
      '19: forward',
      '20: forward',
      '21: format1',
      '22: frobnicate',
    ])
      expect(
        said.filter((l) => l.startsWith(start)),
        start,
      ).toHaveLength(1);
    expect(said).toHaveLength(8);
  });

  it('a community that is accepted from anywhere somewhere is accepted from anywhere', () => {
    const i = importSnmptrapd('authCommunity log a 10.0.0.1\nauthCommunity log a\n');
    expect(i.config).toMatchObject({ collectors: { snmp_trap: { communities: [{}] } } });
    expect(JSON.stringify(i.config)).not.toContain('from');
  });

  it.each([
    ['authUser log bob noauth', 'noAuthNoPriv'],
    ['authUser log bob auth', 'authNoPriv'],
    ['authUser log bob', 'authNoPriv'],
    ['authUser log bob priv', undefined],
    ['authUser log bob priv\nauthUser net bob noauth .1.3.6', 'noAuthNoPriv'],
    ['authUser log bob noauth\nauthUser net bob priv', 'noAuthNoPriv'],
  ])('%s: the level is the least that is accepted, as there', (line, level) => {
    const i = importSnmptrapd(`createUser bob SHA password1 AES password2\n${line}\n`);
    const { collectors } = withSecrets(i, () => 'x') as { collectors: { snmp_trap: { users: { level?: string }[] } } };
    expect(collectors.snmp_trap.users.map((u) => u.level)).toEqual([level]);
  });

  it('disableAuthorization opens nothing, and lets users in that no authUser names', () => {
    const i = importSnmptrapd('disableAuthorization yes\ncreateUser u SHA password1\n');
    expect(lines(i.notes)[0]).toMatch(/^1: disableAuthorization is not imported/);
    expect(lines(i.notes)[1]).toMatch(/^2: the user u is accepted at authNoPriv only/);
    expect(withSecrets(i, () => 'x')).toMatchObject({ collectors: { snmp_trap: { users: [{ name: 'u' }] } } });
    expect(JSON.stringify(i.config)).not.toContain('level');
    expect(JSON.stringify(i.config)).not.toContain('communities');
  });

  it.each([
    ['authCommunity log', 'needs TYPES and COMMUNITY'],
    ['authCommunity logg public', 'logg is no type'],
    ['createUser', 'needs a name'],
    ['createUser -e 12 u', '-e needs an engine id'],
    ['createUser u SHA-3 password1', 'SHA-3 is no protocol'],
    ['createUser u SHA', 'needs a passphrase'],
    ['createUser u SHA short', 'fewer than 8'],
    ['createUser u SHA password1 AES password2 more', 'more is too much'],
    ['createUser u SHA -l 0x00112233445566778899aabbccddeeff00112233', 'needs -e'],
    ['authUser log u secure', 'secure is no level'],
    ['authUser', 'needs TYPES and USER'],
    ['forward default', 'needs an OID'],
    ['exactEngineID 123', '5 to 32 octets'],
    ['authCommunity log "public', 'quote without an end'],
  ])('%s is an error with its line, and says no secret', (text, why) => {
    const i = importSnmptrapd(`\n${text}\n`);
    expect(lines(i.errors)).toEqual([expect.stringContaining(why)]);
    expect(i.errors[0].line).toBe(2);
    expect(i.errors[0].text).not.toMatch(/short|password/);
  });
});

describe('tidegate config import', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'import-'));
    writeFileSync(join(dir, 'snmptrapd.conf'), SAMPLE);
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  async function verb(...args: string[]): Promise<{ out: string; err: string }> {
    let out = '';
    let err = '';
    const ctx = { env: {}, tty: false, out: (t: string) => (out += t), err: (t: string) => (err += t) };
    await importVerb(ctx as never).parseAsync([join(dir, 'snmptrapd.conf'), ...args], { from: 'user' });
    return { out, err };
  }

  it('with -o: a configuration that is accepted, secrets in files that nobody else reads', async () => {
    const file = join(dir, 'tidegate.yaml');
    const { out, err } = await verb('-o', file);
    expect(out).toBe('');
    expect(err).toContain('snmptrapd.conf:16: traphandle');
    expect(readFileSync(file, 'utf8')).not.toMatch(/passphrase"|secret \$word|shashasha/);
    for (const s of readdirSync(`${file}.secrets`)) expect(statSync(join(`${file}.secrets`, s)).mode & 0o077).toBe(0);
    const loaded = loadConfig(file, {});
    if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
    const snmp = loaded.config.collectors.snmp_trap!;
    expect(snmp.communities.map((c) => c.name)).toEqual(['public', 'secret $word']);
    expect(snmp.users.map((u) => u.name)).toEqual(['noc', 'core', 'cisco']);
    expect(loaded.config.export.exporters.forward).toMatchObject({ type: 'relay', format: 'raw' });
  });

  /** Every file and folder, with its contents and mode. */
  const tree = () =>
    readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((f) => {
        const s = statSync(join(dir, f));
        return [f, s.mode, s.isFile() ? readFileSync(join(dir, f), 'utf8') : ''];
      });

  it('with -o: what is there already is not touched, neither the configuration nor its secrets', async () => {
    const file = join(dir, 'tidegate.yaml');
    await verb('-o', file);
    const before = tree();
    writeFileSync(join(dir, 'snmptrapd.conf'), SAMPLE.replace('auth passphrase', 'quite another one'));
    const edited = tree();
    expect(edited).not.toEqual(before);
    await expect(verb('-o', file)).rejects.toThrow('tidegate.yaml is there already');
    expect(tree()).toEqual(edited);
    // Secrets that another configuration may name.
    rmSync(file);
    const orphans = tree();
    await expect(verb('-o', file)).rejects.toThrow(/tidegate\.yaml\.secrets\/\S+ is there already/);
    expect(tree()).toEqual(orphans);
  });

  it('with -o: a write that fails leaves nothing behind', async () => {
    const before = tree();
    // The folder of the secrets can be made, the file beside it cannot: its name is too long.
    await expect(verb('-o', join(dir, 'new', 'x'.repeat(255 - '.secrets'.length), 'y'.repeat(250)))).rejects.toThrow(
      'cannot be written',
    );
    expect(tree()).toEqual(before);
    mkdirSync(join(dir, 'taken.yaml.secrets'));
    writeFileSync(join(dir, 'taken.yaml.secrets', 'other'), 'kept');
    symlinkSync(join(dir, 'nowhere'), join(dir, 'taken.yaml'));
    await expect(verb('-o', join(dir, 'taken.yaml'))).rejects.toThrow('is there already');
    expect(readdirSync(join(dir, 'taken.yaml.secrets'))).toEqual(['other']);
  });

  it('to the terminal: names of files instead of secrets; with --inline an accepted configuration', async () => {
    const plain = await verb();
    expect(plain.out).toContain('${file:secrets/user-noc-auth}');
    expect(plain.out + plain.err).not.toMatch(/auth passphrase|shashasha|secret \$word/);
    const { out } = await verb('--inline');
    writeFileSync(join(dir, 'inline.yaml'), out);
    const loaded = loadConfig(join(dir, 'inline.yaml'), {});
    if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.config.collectors.snmp_trap!.communities[1].name).toBe('secret $word');
  });

  it('an error names file and line', async () => {
    writeFileSync(join(dir, 'snmptrapd.conf'), 'createUser u SHA short\n');
    await expect(verb()).rejects.toThrow(/snmptrapd\.conf:1: the auth passphrase of u has fewer than 8 characters/);
  });
});
