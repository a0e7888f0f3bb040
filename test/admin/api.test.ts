/** The door over the network: who gets in, what they may do, and what it never gives away. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as http, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as https } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Access, FAILURE_WINDOW_MS, MAX_FAILURES, MAX_SOURCES, type Refusal } from '../../src/admin/access.ts';
import { call } from '../../src/admin/client.ts';
import { openApi, openNetworkApi, openProbes, type TlsMaterial } from '../../src/admin/http.ts';
import { PAGE, PAGE_CSP } from '../../src/admin/page.ts';
import type { Admin } from '../../src/admin/types.ts';
import { loadConfig } from '../../src/config/load.ts';
import { redact } from '../../src/config/redact.ts';
import { formatProblem } from '../../src/config/yaml.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { type DoorOptions, forChildren, openDoors } from '../../src/process/doors.ts';
import { StartError } from '../../src/process/start-error.ts';
import { Registry } from '../../src/telemetry/registry.ts';

const TOKEN = { viewer: 'viewer-0123456789', operator: 'operator-0123456789', admin: 'admin-0123456789' };

let dir: string;
const closers: (() => Promise<void> | void)[] = [];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tidegate-api-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

class FakeAdmin implements Admin {
  readonly calls: string[] = [];
  taps = 0;
  readonly filters: unknown[] = [];
  livez = () => [];
  readyz = () => [];
  vipz = () => ({ code: 200, grade: 'full' });
  metrics = async () => 'up 1\n';
  status = async () => ({ node: 'n1' });
  lb = async () => ({ draining: false });
  spool = async () => ({});
  exporters = async () => ({});
  configuration = () => ({ site: 's' });
  explain = async (device: string) => ({ device });
  async drain(who: string): Promise<unknown> {
    this.calls.push(`drain ${who}`);
    return { draining: true };
  }
  async undrain(who: string): Promise<unknown> {
    this.calls.push(`undrain ${who}`);
    return { draining: false };
  }
  tap(filter: unknown, sink: (lines: string[]) => boolean): () => void {
    this.taps++;
    this.filters.push(filter);
    sink(['{"id":"1"}', '{"id":"2"}']);
    return () => {
      this.taps--;
    };
  }
}

function access(clock = new ManualClock()) {
  const refused: Refusal[] = [];
  const limited: string[] = [];
  const it = new Access({
    tokens: (['viewer', 'operator', 'admin'] as const).map((role) => ({
      name: `the-${role}`,
      role,
      token: TOKEN[role],
    })),
    certificates: [{ subject: 'noc-1', role: 'operator' }],
    clock,
    onRefused: (why) => refused.push(why),
    onLimited: (source) => limited.push(source),
  });
  return { it, refused, limited, clock };
}

async function door(tls?: TlsMaterial) {
  const admin = new FakeAdmin();
  const a = access();
  const opened = await openNetworkApi(admin, a.it, { address: '127.0.0.1', port: 0, tls });
  closers.push(opened.close);
  return { admin, ...a, ...opened };
}

interface Answer {
  code: number;
  headers: IncomingMessage['headers'];
  text: string;
}

function ask(
  port: number,
  path: string,
  o: RequestOptions & Record<string, unknown> = {},
  tls = false,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = (tls ? https : http)({ host: '127.0.0.1', port, path, agent: false, ...o }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (c: string) => {
        text += c;
      });
      res.on('end', () => resolve({ code: res.statusCode ?? 0, headers: res.headers, text }));
    });
    req.on('error', reject);
    req.end();
  });
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

const READS = ['me', 'status', 'lb', 'spool', 'exporters', 'explain?device=x'].map((p) => `/api/v1/${p}`);

describe('authentication', () => {
  it('nothing of the API without credentials or with wrong ones', async () => {
    const d = await door();
    for (const path of [...READS, '/api/v1/config', '/api/v1/tap', '/metrics']) {
      const r = await ask(d.port, path);
      expect([path, r.code, r.headers['www-authenticate']]).toEqual([path, 401, 'Bearer']);
    }
    for (const authorization of [
      'Bearer wrong-0123456789',
      `Basic ${TOKEN.admin}`,
      `Bearer ${TOKEN.admin}x`,
      'Bearer',
      '',
    ])
      expect((await ask(d.port, '/api/v1/status', { headers: { authorization } })).code).toBe(401);
    expect((await ask(d.port, '/api/v1/lb/drain', { method: 'POST' })).code).toBe(401);
    expect(d.admin.taps).toBe(0);
    expect(d.admin.calls).toEqual([]);
    expect(d.refused.filter((r) => r === 'wrong')).toHaveLength(5);
    expect(d.refused.filter((r) => r === 'missing')).toHaveLength(10);
  });

  it('a limit on wrong logins of a source, of a window, in bounded memory', () => {
    const { it: a, limited, clock, refused } = access();
    const wrong = 'Bearer wrong-0123456789';
    const right = `Bearer ${TOKEN.viewer}`;
    for (let i = 0; i < MAX_FAILURES; i++) expect(a.login('192.0.2.1', wrong, undefined)).toBe('wrong');
    expect(a.login('192.0.2.1', right, undefined)).toBe('limited');
    expect(a.login('192.0.2.2', right, undefined)).toEqual({ name: 'the-viewer', role: 'viewer' });
    expect(limited).toEqual(['192.0.2.1']);
    expect(refused.at(-1)).toBe('limited');
    clock.advance(FAILURE_WINDOW_MS);
    expect(a.login('192.0.2.1', right, undefined)).toEqual({ name: 'the-viewer', role: 'viewer' });
    // One /64 is one source.
    for (let i = 0; i < MAX_FAILURES; i++) a.login(`2001:db8::${i}`, wrong, undefined);
    expect(a.login('2001:db8::ffff', right, undefined)).toBe('limited');
    expect(a.login('2001:db8:0:1::1', right, undefined)).toMatchObject({ role: 'viewer' });
    for (let i = 0; i < MAX_SOURCES + 100; i++) a.login(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, wrong, undefined);
    expect(a.sources).toBe(MAX_SOURCES);
  });

  it('says 429 over the wire', async () => {
    const d = await door();
    for (let i = 0; i < MAX_FAILURES; i++) await ask(d.port, '/api/v1/me', bearer('wrong-0123456789'));
    const r = await ask(d.port, '/api/v1/me', bearer(TOKEN.admin));
    expect([r.code, r.headers['retry-after']]).toEqual([429, '60']);
  });
});

describe('roles', () => {
  it.each([
    ['viewer', 403, 403],
    ['operator', 200, 403],
    ['admin', 200, 200],
  ] as const)('%s', async (role, change, config) => {
    const d = await door();
    const get = (path: string, method = 'GET') => ask(d.port, path, { method, ...bearer(TOKEN[role]) });
    for (const path of READS) expect([path, (await get(path)).code]).toEqual([path, 200]);
    expect(JSON.parse((await get('/api/v1/me')).text)).toEqual({ name: `the-${role}`, role });
    expect((await get('/api/v1/lb/drain', 'POST')).code).toBe(change);
    expect((await get('/api/v1/lb/undrain', 'POST')).code).toBe(change);
    expect((await get('/api/v1/config')).code).toBe(config);
    // What the audit event will name.
    expect(d.admin.calls).toEqual(change === 200 ? [`drain the-${role}`, `undrain the-${role}`] : []);
  });

  it("a page of another site cannot use the browser's login", async () => {
    const d = await door();
    const post = (origin: string) =>
      ask(d.port, '/api/v1/lb/drain', { method: 'POST', headers: { ...bearer(TOKEN.operator).headers, origin } });
    expect((await post('https://elsewhere.example')).code).toBe(403);
    expect(d.admin.calls).toEqual([]);
    expect((await post(`http://127.0.0.1:${d.port}`)).code).toBe(200);
  });

  it('the socket needs no login and is `local`', async () => {
    const admin = new FakeAdmin();
    const path = join(dir, 'admin.sock');
    closers.push((await openApi(admin, path)).close);
    expect(await call(path, 'GET', '/api/v1/config')).toEqual({ site: 's' });
    await call(path, 'POST', '/api/v1/lb/drain');
    expect(admin.calls).toEqual(['drain local']);
  });
});

describe('tap', () => {
  it('follows with a token, ends with its connection, and takes a parameter once', async () => {
    const d = await door();
    const text = await new Promise<string>((resolve, reject) => {
      const path = '/api/v1/tap?type=snmp.*&device=a&device=b';
      const req = http({ host: '127.0.0.1', port: d.port, path, agent: false, ...bearer(TOKEN.viewer) }, (res) => {
        res.once('data', (c: Buffer) => {
          resolve(c.toString());
          req.destroy();
        });
      });
      req.on('error', reject);
      req.end();
    });
    expect(text).toBe('{"id":"1"}\n{"id":"2"}\n');
    expect(d.admin.filters).toEqual([{ type: 'snmp.*', device: undefined }]);
    await expect.poll(() => d.admin.taps).toBe(0);
  });
});

describe('doors', () => {
  it('the probes stay probes', async () => {
    const probes = await openProbes(new FakeAdmin(), '127.0.0.1', 0);
    closers.push(probes.close);
    expect((await ask(probes.port, '/livez')).code).toBe(200);
    for (const path of ['/', ...READS, '/api/v1/config', '/api/v1/tap'])
      expect([path, (await ask(probes.port, path, bearer(TOKEN.admin))).code]).toEqual([path, 404]);
  });

  it('the page needs nothing from elsewhere and its policy allows nothing else', async () => {
    const d = await door();
    const r = await ask(d.port, '/');
    expect([r.code, r.headers['content-type'], r.text]).toEqual([200, 'text/html; charset=utf-8', PAGE]);
    expect(r.headers['content-security-policy']).toBe(PAGE_CSP);
    expect(r.headers['cache-control']).toBe('no-store');
    expect(PAGE).not.toMatch(/https?:\/\/|\ssrc=|\shref=|innerHTML|localStorage|\son\w+="/);
    const script = /<script>([\s\S]*)<\/script>/.exec(PAGE)![1];
    expect(() => new Function(script)).not.toThrow();
    expect(PAGE_CSP).toContain(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`);
    for (const [, id] of script.matchAll(/\$\('(\w+)'\)|table\('(\w+)'/g))
      if (id !== undefined) expect(PAGE).toContain(`id="${id}"`);
  });
});

describe('TLS', () => {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const pem = (name: string) => readFileSync(join(dir, name), 'utf8');
  const self = (name: string, subject: string) =>
    openssl(
      ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'.split(' '),
      '-subj',
      subject,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
    );
  const signed = (name: string, subject: string) => {
    openssl(
      ...'req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'.split(' '),
      '-subj',
      subject,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
    );
    openssl(
      ...'x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial'.split(' '),
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.pem`,
    );
  };
  beforeAll(() => {
    self('server', '/CN=server');
    self('server2', '/CN=server2');
    self('ca', '/CN=ca');
    signed('noc', '/CN=noc-1');
    signed('other', '/CN=other');
    // The right name, signed by nobody.
    self('forged', '/CN=noc-1');
  });

  it('a certificate that client_ca signed is a login for its subject; a token works beside it', async () => {
    const d = await door({ cert: pem('server.pem'), key: pem('server.key'), ca: pem('ca.pem') });
    const get = (name: string | undefined, path = '/api/v1/me', more: object = {}) =>
      ask(
        d.port,
        path,
        { rejectUnauthorized: false, ...(name ? { cert: pem(`${name}.pem`), key: pem(`${name}.key`) } : {}), ...more },
        true,
      );
    expect(JSON.parse((await get('noc')).text)).toEqual({ name: 'noc-1', role: 'operator' });
    expect((await get('noc', '/api/v1/lb/drain', { method: 'POST' })).code).toBe(200);
    expect((await get('noc', '/api/v1/config')).code).toBe(403);
    expect(d.admin.calls).toEqual(['drain noc-1']);
    expect((await get('other')).code).toBe(401);
    expect((await get('forged')).code).toBe(401);
    expect((await get(undefined)).code).toBe(401);
    expect((await get(undefined, '/api/v1/config', bearer(TOKEN.admin))).code).toBe(200);
    // A header decides alone.
    expect((await get('noc', '/api/v1/me', bearer('wrong-0123456789'))).code).toBe(401);
  });

  it('takes a renewed certificate over', async () => {
    const d = await door({ cert: pem('server.pem'), key: pem('server.key') });
    const trusting = (name: string) =>
      ask(d.port, '/', { ca: pem(name), checkServerIdentity: () => undefined }, true).then((r) => r.code);
    expect(await trusting('server.pem')).toBe(200);
    d.renew({ cert: pem('server2.pem'), key: pem('server2.key') });
    expect(await trusting('server2.pem')).toBe(200);
    await expect(trusting('server.pem')).rejects.toThrow(/self-signed/);
  });
});

describe('what the supervisor opens', () => {
  const open = async (role: DoorOptions['role'], api: object) => {
    const at = { address: '127.0.0.1', port: 0 };
    const registry = new Registry();
    const logged: Record<string, unknown>[] = [];
    const log = { ...silentLog, info: (fields: object) => void logged.push(fields as Record<string, unknown>) };
    const config = { listen: at, speaker_listen: at, socket: join(dir, 'doors.sock') } as DoorOptions['config'];
    config.api = { listen: at, tokens: [], certificates: [], ...api };
    await openDoors({ admin: new FakeAdmin(), config, role, clock: new ManualClock(), log, registry, closers });
    return { registry, address: logged[0]?.address as string | undefined };
  };

  it('counts failed logins', async () => {
    const { registry, address } = await open('all', {});
    const port = Number(address!.split(':')[1]);
    await ask(port, '/api/v1/me');
    await ask(port, '/api/v1/me', bearer('wrong-0123456789'));
    const counted = registry.snapshot().filter((m) => m[0] === 'tidegate_admin_login_failures_total');
    expect(counted.map((m) => m[2])).toEqual([1, 1]);
  });

  it('names the file it cannot read, and a speaker on its own opens nothing', async () => {
    const failed = open('all', { tls: { cert: join(dir, 'none.pem'), key: 'k' } });
    await expect(failed).rejects.toThrow(StartError);
    await expect(failed).rejects.toThrow(/admin\.api\.tls\.cert: .*none\.pem/);
    for (const close of closers.splice(0)) await close();
    expect((await open('speaker', {})).address).toBeUndefined();
  });
});

describe('configuration', () => {
  const SECRET = 'secret-0123456789';
  const load = (api: string) => {
    const file = join(dir, 'tidegate.yaml');
    writeFileSync(join(dir, 'token'), `${SECRET}\n`);
    writeFileSync(file, `admin:\n  api: ${api}\n`);
    const loaded = loadConfig(file, {});
    return {
      loaded,
      problems: 'problems' in loaded ? loaded.problems.map(formatProblem).join('\n') : '',
      all: JSON.stringify(loaded),
    };
  };
  const token = `{name: noc, role: viewer, token: "\${file:token}"}`;

  it('reads tokens from files, masks them, and gives children none', () => {
    const { loaded } = load(`{listen: "127.0.0.1:9700", tokens: [${token}], tls: {cert: c.pem, key: k.pem}}`);
    if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.config.admin.api?.tokens[0].token).toBe(SECRET);
    expect(loaded.config.admin.api?.tls?.cert).toBe(join(dir, 'c.pem'));
    const shown = JSON.stringify(redact(loaded.config));
    expect(shown).toContain('noc');
    expect(shown).not.toContain(SECRET);
    expect(JSON.stringify(forChildren(loaded.config))).not.toContain(SECRET);
  });

  it.each([
    ['{listen: "127.0.0.1:1"}', /admin\.api: must be an API somebody can log in to/],
    [`{listen: "0.0.0.0:1", tokens: [${token}]}`, /admin\.api\.tls: must be given .* not loopback/],
    [`{listen: "127.0.0.1:1", tokens: [${token}, ${token}]}`, /tokens\.1\.name: must be a name that stands once/],
    [`{listen: "127.0.0.1:1", tokens: [${token}], certificates: [{subject: a, role: viewer}]}`, /tls\.client_ca/],
    [`{listen: "127.0.0.1:1", tls: {cert: c, key: k, client_ca: ca}}`, /certificates: must be given/],
    [`{listen: "127.0.0.1:1", tokens: [{name: a, role: viewer, token: secret-01234}]}`, /16 to 512/],
    [`{listen: "127.0.0.1:1", tokens: [{name: local, role: viewer, token: "\${file:token}"}]}`, /another name/],
    [`{listen: "127.0.0.1:1", tokens: ["\${file:token}"]}`, /tokens\.0/],
    [`{listen: "127.0.0.1:1", tokens: "\${file:token}"}`, /tokens/],
    [`{listen: "0.0.0.0:1", role: "x", tokens: [${token}]}`, /unknown key `role`/],
  ])('%s is refused without saying a token', (api, message) => {
    const { problems, all } = load(api);
    expect(problems).toMatch(message);
    expect(problems + all).not.toContain('secret-01234');
  });
});
