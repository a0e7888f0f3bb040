/**
 * A configuration file from Net-SNMP's snmptrapd.conf: who may send (authCommunity, createUser, authUser), where it listens (snmpTrapdAddr), its engine
 * id, and to whom it forwards. Pure. What has no counterpart here is named with its line, and what cannot be understood is an error.
 */
import { formatEndpoint, parseEndpoint, parseIp } from '../core/ip.ts';

export interface ImportLine {
  line: number;
  text: string;
}

export interface Imported {
  /** For the YAML file. A secret stands as `secret(i)`, an object: see `withSecrets`. */
  config: Record<string, unknown>;
  secrets: ImportedSecret[];
  /** What was left out, or means something else here. */
  notes: ImportLine[];
  errors: ImportLine[];
}

export interface ImportedSecret {
  /** A file name: `community-1`, `user-noc-auth`. */
  name: string;
  value: string;
  line: number;
}

class SecretRef {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}

/** The configuration with each secret replaced by what `say` makes of it. */
export function withSecrets(i: Imported, say: (s: ImportedSecret) => string): unknown {
  const walk = (v: unknown): unknown => {
    if (v instanceof SecretRef) return say(i.secrets[v.index]);
    if (Array.isArray(v)) return v.map(walk);
    if (typeof v === 'object' && v !== null) return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, walk(x)]));
    return v;
  };
  return walk(i.config);
}

const AUTH: Record<string, string> = {
  md5: 'md5',
  sha: 'sha1',
  sha1: 'sha1',
  sha224: 'sha224',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
};
const PRIV: Record<string, string> = {
  des: 'des',
  aes: 'aes128',
  aes128: 'aes128',
  aes192: 'aes192',
  aes256: 'aes256',
  aes192c: 'aes192c',
  aes256c: 'aes256c',
};

/** Directives without a counterpart, in lower case, and what to do instead. */
const LEFT_OUT: Record<string, string> = {
  traphandle: 'no programs are run: read the events from Kafka, a file or stdout',
  format1: 'no format strings: an exporter has `format: snmptrapd` and others',
  format2: 'no format strings: an exporter has `format: snmptrapd` and others',
  format: 'no format strings: an exporter has `format: snmptrapd` and others',
  logoption: 'log lines go to stderr; for events in a file see `export: {file: …}`',
  outputoption: 'events have every value in full; see `format:` of an exporter',
  donotlogtraps: 'events go to the exporters that are configured',
  donotretainnotificationlogs: 'there is no NOTIFICATION-LOG-MIB',
  donotfork: 'it never forks',
  pidfile: 'there is none',
  ignoreauthfailure: 'every notification is an event',
  com2sec: 'say it with communities: [{name, from}]',
  com2sec6: 'say it with communities: [{name, from}]',
  group: 'no VACM: who may send is communities and users',
  access: 'no VACM: who may send is communities and users',
  setaccess: 'no VACM: who may send is communities and users',
  authaccess: 'no VACM: who may send is communities and users',
  authgroup: 'no VACM: who may send is communities and users',
  view: 'no VACM: a notification that is accepted is an event as a whole',
  mibs: 'say it with mibs: {paths}',
  mibdirs: 'say it with mibs: {paths}',
  usmuser: 'a line of the persistent file: write the user with its passphrase',
  includefile: 'import that file by itself',
  includedir: 'import those files by themselves',
};

interface User {
  line: number;
  name: string;
  entry: Record<string, unknown>;
  level: number;
}

const LEVELS = ['noauth', 'auth', 'priv'];
/** The same as `level` of a user. */
const LEVEL = ['noAuthNoPriv', 'authNoPriv', 'authPriv'];

export function importSnmptrapd(text: string): Imported {
  return new Importer().run(text);
}

class Importer {
  private readonly out: Imported = { config: {}, secrets: [], notes: [], errors: [] };
  private readonly communities = new Map<string, { line: number; from: string[] | undefined }>();
  private readonly users: User[] = [];
  private readonly allowed = new Map<string, { line: number; level: number }>();
  private readonly listen: string[] = [];
  private readonly forwards: string[] = [];
  private engine: string | undefined;
  private open = 0;
  private line = 0;

  run(text: string): Imported {
    for (const raw of text.split(/\r?\n/)) {
      this.line++;
      const words = this.words(raw.trim());
      if (words && words.length > 0) this.directive(words[0], words.slice(1));
    }
    this.build();
    return this.out;
  }

  private note(text: string, line = this.line): void {
    this.out.notes.push({ line, text });
  }

  private error(text: string): void {
    this.out.errors.push({ line: this.line, text });
  }

  private secret(name: string, value: string): SecretRef {
    const { secrets } = this.out;
    let unique = name.replace(/[^A-Za-z0-9._-]/g, '_');
    for (let n = 2; secrets.some((s) => s.name === unique); n++)
      unique = `${name.replace(/[^A-Za-z0-9._-]/g, '_')}-${n}`;
    secrets.push({ name: unique, value, line: this.line });
    return new SecretRef(secrets.length - 1);
  }

  /** Words, quoted as Net-SNMP reads them; undefined (and an error) where a quote has no end. */
  private words(text: string): string[] | undefined {
    const out: string[] = [];
    let i = 0;
    while (i < text.length) {
      while (/\s/.test(text[i] ?? '')) i++;
      if (i >= text.length || text[i] === '#') break;
      const quote = text[i] === '"' || text[i] === "'" ? text[i++] : undefined;
      let word = '';
      while (i < text.length && (quote === undefined ? !/\s/.test(text[i]) : text[i] !== quote)) {
        if (text[i] === '\\' && i + 1 < text.length) i++;
        word += text[i++];
      }
      if (quote !== undefined && text[i++] !== quote) {
        this.error('a quote without an end');
        return undefined;
      }
      out.push(word);
    }
    return out;
  }

  private directive(name: string, args: string[]): void {
    switch (name.toLowerCase()) {
      case 'authcommunity':
        this.authCommunity(args);
        return;
      case 'createuser':
        this.createUser(args);
        return;
      case 'authuser':
        this.authUser(args);
        return;
      case 'disableauthorization':
        this.disableAuthorization(args);
        return;
      case 'forward':
        this.forward(args);
        return;
      case 'snmptrapdaddr':
      case 'agentaddress':
        for (const a of args.join(' ').split(/[,\s]+/)) if (a !== '') this.address(a);
        return;
      case 'engineid':
        if (args.length === 0) this.error('engineID needs a text');
        // NET-SNMP's enterprise and format 4: text.
        else this.engine = `80001f8804${Buffer.from(args[0]).toString('hex')}`;
        return;
      case 'exactengineid':
        if (!/^0x([0-9a-f]{2}){5,32}$/i.test(args[0] ?? '')) this.error('exactEngineID needs 5 to 32 octets as 0x…');
        else this.engine = args[0].slice(2).toLowerCase();
        return;
      default: {
        const why = LEFT_OUT[name.toLowerCase()];
        this.note(`${name} is not imported: ${why ?? 'no directive that is known here'}`);
      }
    }
  }

  private authCommunity(args: string[]): void {
    const [types, community, source, ...rest] = args;
    if (types === undefined || community === undefined) {
      this.error('authCommunity needs TYPES and COMMUNITY');
      return;
    }
    if (!this.types(types)) return;
    let from: string | undefined;
    if (source !== undefined && source !== 'default') {
      from = prefixOf(source);
      if (from === undefined) {
        this.note(`the source ${source} is not imported: an address or prefix is needed; the community is left out`);
        return;
      }
    }
    if (rest.length > 0) this.note('the restriction to an OID or view is not imported: every notification is accepted');
    const known = this.communities.get(community);
    if (!known) this.communities.set(community, { line: this.line, from: from === undefined ? undefined : [from] });
    else if (from === undefined) known.from = undefined;
    else known.from?.push(from);
  }

  private types(text: string): boolean {
    const list = text.toLowerCase().split(',');
    const bad = list.find((t) => !['log', 'execute', 'net'].includes(t));
    if (bad !== undefined) this.error(`${bad} is no type: log, execute, net`);
    return bad === undefined;
  }

  private createUser(args: string[]): void {
    const rest = [...args];
    let engine: string | undefined;
    if (rest[0] === '-e') {
      engine = rest[1];
      if (!/^0x([0-9a-f]{2}){5,32}$/i.test(engine ?? '')) {
        this.error('-e needs an engine id of 5 to 32 octets as 0x…');
        return;
      }
      rest.splice(0, 2);
    }
    const name = rest.shift();
    if (name === undefined || name === '') {
      this.error('createUser needs a name');
      return;
    }
    const entry: Record<string, unknown> = { name };
    if (engine !== undefined) entry.engine_id = engine.toLowerCase();
    const auth = this.part(rest, AUTH, name, 'auth', undefined, engine);
    if (auth === 'error') return;
    if (auth) {
      entry.auth = auth.entry;
      const priv = this.part(rest, PRIV, name, 'priv', auth.value, engine);
      if (priv === 'error') return;
      if (priv) entry.priv = priv.entry;
    }
    if (rest.length > 0) {
      this.error(`${rest[0]} is too much here`);
      return;
    }
    this.users.push({ line: this.line, name, entry, level: entry.priv ? 2 : entry.auth ? 1 : 0 });
  }

  /** PROTOCOL [-m|-l] KEY; a privacy key left out is that of authentication. */
  private part(
    rest: string[],
    protocols: Record<string, string>,
    user: string,
    kind: 'auth' | 'priv',
    inherited: string | undefined,
    engine: string | undefined,
  ): { entry: Record<string, unknown>; value: string } | undefined | 'error' {
    const word = rest.shift();
    if (word === undefined) return undefined;
    const protocol = protocols[word.toLowerCase().replaceAll('-', '')];
    if (protocol === undefined) {
      this.error(`${word} is no protocol for ${kind}: ${Object.keys(protocols).join(', ')}`);
      return 'error';
    }
    let field = 'passphrase';
    if (rest[0] === '-m' || rest[0] === '-l') field = rest.shift() === '-m' ? 'master_key' : 'localized_key';
    const value = rest.shift() ?? inherited;
    if (value === undefined) {
      this.error(`${word} needs a passphrase`);
      return 'error';
    }
    if (field === 'passphrase' && value.length < 8) {
      this.error(`the ${kind} passphrase of ${user} has fewer than 8 characters`);
      return 'error';
    }
    if (field === 'localized_key' && engine === undefined) {
      this.error(`a localised key of ${user} needs -e ENGINEID`);
      return 'error';
    }
    return { entry: { protocol, [field]: this.secret(`user-${user}-${kind}`, value) }, value };
  }

  private authUser(args: string[]): void {
    const rest = [...args];
    const types = rest.shift();
    if (types === undefined || !this.types(types)) {
      if (types === undefined) this.error('authUser needs TYPES and USER');
      return;
    }
    if (rest[0] === '-s') {
      const [, model] = rest.splice(0, 2);
      if (model !== 'usm') {
        this.note(`authUser with the security model ${model} is not imported: users are those of USM`);
        return;
      }
    }
    const [name, level = 'auth', ...more] = rest;
    if (name === undefined) {
      this.error('authUser needs a user');
      return;
    }
    const n = LEVELS.indexOf(level.toLowerCase());
    if (n < 0) {
      this.error(`${level} is no level: ${LEVELS.join(', ')}`);
      return;
    }
    if (more.length > 0) this.note('the restriction to an OID or view is not imported: every notification is accepted');
    // Each line allows: together they allow what the least of them does.
    this.allowed.set(name, { line: this.line, level: Math.min(n, this.allowed.get(name)?.level ?? n) });
  }

  private disableAuthorization(args: string[]): void {
    if (!/^(yes|true|1|on)$/i.test(args[0] ?? '')) return;
    this.open = this.line;
    this.note(
      'disableAuthorization is not imported: a community that is not named is refused; add those your devices use',
    );
  }

  private forward(args: string[]): void {
    const [oid, ...to] = args;
    if (oid === undefined || to.length === 0) {
      this.error('forward needs an OID or default, and a destination');
      return;
    }
    if (oid.toLowerCase() !== 'default') {
      this.note(`forward of ${oid} alone is not imported: a relay sends every notification`);
      return;
    }
    const target = endpoint(to.join(' '), undefined);
    if (target === undefined)
      this.note(`forward to ${to.join(' ')} is not imported: ADDRESS:PORT over UDP is needed, no name`);
    else this.forwards.push(target);
  }

  private address(text: string): void {
    const at = endpoint(text, /udp6/i.test(text) ? '::' : '0.0.0.0');
    if (at === undefined) this.note(`the address ${text} is not imported: UDP and an address are needed`);
    else this.listen.push(at);
  }

  private build(): void {
    const snmp: Record<string, unknown> = {};
    // Who listens nowhere named listens on 162 of every address.
    snmp.listen = this.listen.length > 0 ? this.listen : ['0.0.0.0:162'];
    if (this.engine !== undefined) snmp.engine = { id: `0x${this.engine}` };
    const communities = [...this.communities].map(([name, c], i) => {
      this.line = c.line;
      return { name: this.secret(`community-${i + 1}`, name), ...(c.from && { from: c.from }) };
    });
    if (communities.length > 0) snmp.communities = communities;
    const users: unknown[] = [];
    for (const u of this.users) {
      const may = this.allowed.get(u.name);
      if (!may && this.open === 0) {
        this.note(`the user ${u.name} is left out: no authUser lets it send`, u.line);
        continue;
      }
      if (may && may.level > u.level) {
        this.note(
          `the user ${u.name} is left out: authUser asks for ${LEVELS[may.level]}, which it has no key for`,
          u.line,
        );
        continue;
      }
      // There a level is the least that is accepted, whatever keys there are.
      if (may && may.level < u.level) u.entry.level = LEVEL[may.level];
      if (!may && u.level > 0)
        this.note(
          `the user ${u.name} is accepted at ${LEVEL[u.level]} only; disableAuthorization takes less, too: for that set its \`level\``,
          u.line,
        );
      users.push(u.entry);
    }
    for (const [name, { line }] of this.allowed)
      if (!this.users.some((u) => u.name === name))
        this.note(`the user ${name} is not imported: there is no createUser of it here`, line);
    if (users.length > 0) snmp.users = users;
    this.out.config.collectors = { snmp_trap: snmp };
    if (this.forwards.length > 0) {
      this.out.config.export = {
        stdout: { enabled: true },
        forward: { type: 'relay', targets: [...new Set(this.forwards)], format: 'raw' },
      };
    }
  }
}

/** ADDRESS, ADDRESS/BITS or ADDRESS/MASK as a prefix. */
function prefixOf(text: string): string | undefined {
  const [address, mask, ...more] = text.split('/');
  const bytes = parseIp(address);
  if (!bytes || more.length > 0) return undefined;
  if (mask === undefined) return address;
  if (/^\d{1,3}$/.test(mask)) return Number(mask) <= bytes.length * 8 ? `${address}/${mask}` : undefined;
  const m = parseIp(mask);
  if (!m || m.length !== bytes.length) return undefined;
  const bits = [...m].map((b) => b.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? `${address}/${bits.replaceAll('0', '').length}` : undefined;
}

/** `[udp:|udp6:]ADDRESS[:PORT]` as ADDR:PORT; `any` stands for an absent address. */
function endpoint(text: string, any: string | undefined): string | undefined {
  const m = /^(?:(udp6?|udpv6|udpipv6):)?(.*)$/i.exec(text.trim());
  let rest = m?.[2] ?? '';
  if (/^(tcp|tls|dtls|ssh|unix|alias|ipx)/i.test(rest)) return undefined;
  if (/^\d{1,5}$/.test(rest) && any !== undefined) rest = formatEndpoint(any, Number(rest));
  if (parseIp(rest.replace(/^\[(.*)\]$/, '$1'))) rest = formatEndpoint(rest.replace(/^\[(.*)\]$/, '$1'), 162);
  const e = parseEndpoint(rest);
  return e && e.port > 0 ? formatEndpoint(e.address, e.port) : undefined;
}
