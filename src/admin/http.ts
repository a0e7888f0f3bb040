/**
 * The doors of an instance. `admin.listen` answers probes and metrics and nothing else. `admin.socket` is the whole API, and file permission is its
 * lock. `admin.api` is the same API and a page over the network, and a token or a client certificate is its lock.
 */
import { existsSync, unlinkSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps, type Server as HttpsServer } from 'node:https';
import { connect } from 'node:net';
import type { TLSSocket } from 'node:tls';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type Access, type Actor, type AdminRole, includes, type Refusal } from './access.ts';
import { PAGE, PAGE_CSP } from './page.ts';
import type { Admin } from './types.ts';

/** Of the network door: probes and scrapers are few. */
const MAX_CONNECTIONS = 256;

/** Probes and metrics on `address:port`. Returns the bound port. */
export async function openProbes(
  admin: Admin,
  address: string,
  port: number,
): Promise<{ port: number; close: () => Promise<void> }> {
  // A client that never ends its request must not hold up the end of the instance.
  const app = Fastify({ logger: false, bodyLimit: 1024, forceCloseConnections: true });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.get('/livez', async (_q, reply) => verdict(reply, await admin.livez(), false));
  app.get('/readyz', async (q, reply) =>
    verdict(reply, await admin.readyz(), (q.query as Record<string, unknown>).verbose !== undefined),
  );
  app.get('/vipz', async (_q, reply) => {
    const v = admin.vipz();
    return reply.code(v.code).type('text/plain').send(`${v.grade}\n`);
  });
  app.get('/metrics', async (_q, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await admin.metrics()),
  );
  plain(app);
  await app.listen({ host: address, port });
  const bound = app.server.address();
  return { port: typeof bound === 'object' && bound ? bound.port : port, close: () => app.close() };
}

/** The API on a Unix socket. */
export async function openApi(admin: Admin, path: string): Promise<{ close: () => Promise<void> }> {
  const app = Fastify({ logger: false, bodyLimit: 64 * 1024 });
  routes(app, admin, () => LOCAL);
  plain(app);
  await clearStaleSocket(path);
  await app.ready();
  await listenPrivately(app.server, path);
  return {
    close: async () => {
      app.server.closeAllConnections();
      app.server.close();
      await app.close();
      if (existsSync(path)) unlinkSync(path);
    },
  };
}

/** PEM texts. */
export interface TlsMaterial {
  cert: string;
  key: string;
  /** Of client certificates. */
  ca?: string;
}

/** The API and the page on `address:port`. `renew` takes renewed certificates over for new connections. */
export async function openNetworkApi(
  admin: Admin,
  access: Access,
  o: { address: string; port: number; tls?: TlsMaterial },
): Promise<{ port: number; renew: (tls: TlsMaterial) => void; close: () => Promise<void> }> {
  const { tls } = o;
  const app = Fastify({
    logger: false,
    bodyLimit: 64 * 1024,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    serverFactory: (handler) => {
      const limits = { requestTimeout: 30_000, headersTimeout: 10_000 };
      if (tls === undefined) return createHttp(limits, handler);
      // Somebody with a token has no certificate: whether the one given is good is looked at in each request.
      const client = { requestCert: tls.ca !== undefined, rejectUnauthorized: false, handshakeTimeout: 10_000 };
      return createHttps({ ...limits, ...tls, ...client }, handler);
    },
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  app.addHook('onSend', async (_q, reply) => {
    reply.headers(HEADERS);
  });
  app.get('/', async (_q, reply) =>
    reply.header('content-security-policy', PAGE_CSP).type('text/html; charset=utf-8').send(PAGE),
  );
  routes(app, admin, (q) => access.login(q.ip, q.headers.authorization, subjectOf(q)));
  plain(app);
  await app.listen({ host: o.address, port: o.port });
  const bound = app.server.address();
  return {
    port: typeof bound === 'object' && bound ? bound.port : o.port,
    renew: (next) => (app.server as HttpsServer).setSecureContext(next),
    close: async () => {
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };

/** The common name of a client certificate that client_ca signed. */
function subjectOf(q: FastifyRequest): string | undefined {
  const socket = q.raw.socket as Partial<TLSSocket>;
  if (socket.authorized !== true) return undefined;
  const name: unknown = socket.getPeerCertificate?.().subject?.CN;
  return typeof name === 'string' ? name : undefined;
}

/** Who comes over the socket. */
const LOCAL: Actor = { name: 'local', role: 'admin' };

/** Each may hold some megabytes for a slow reader. */
const MAX_TAPS = 32;

/** The API, the same behind every door. `authorize` says who asks. */
function routes(app: FastifyInstance, admin: Admin, authorize: (q: FastifyRequest) => Actor | Refusal): void {
  const actors = new WeakMap<FastifyRequest, Actor>();
  const asks = (role: AdminRole) => ({
    onRequest: async (q: FastifyRequest, reply: FastifyReply) => {
      const actor = authorize(q);
      if (actor === 'limited')
        return reply.code(429).header('retry-after', '60').send({ error: 'too many wrong logins' });
      if (typeof actor === 'string')
        return reply
          .code(401)
          .header('www-authenticate', 'Bearer')
          .send({ error: 'a token or client certificate is needed' });
      if (!includes(actor, role))
        return reply.code(403).send({ error: `needs the role ${role}; ${actor.name} is ${actor.role}` });
      // A browser adds a client certificate to any page's request, but also says whose page it is.
      if (q.method !== 'GET' && foreign(q)) return reply.code(403).send({ error: 'a request of another site' });
      actors.set(q, actor);
    },
  });
  const who = (q: FastifyRequest): Actor => actors.get(q)!;
  app.get('/api/v1/me', asks('viewer'), async (q) => who(q));
  app.get('/api/v1/status', asks('viewer'), async () => admin.status());
  app.get('/api/v1/lb', asks('viewer'), async () => admin.lb());
  app.get('/api/v1/spool', asks('viewer'), async () => admin.spool());
  app.get('/api/v1/exporters', asks('viewer'), async () => admin.exporters());
  app.get('/api/v1/config', asks('admin'), async () => admin.configuration());
  app.get('/api/v1/explain', asks('viewer'), async (q) => admin.explain(parameter(q, 'device') ?? ''));
  app.get('/metrics', asks('viewer'), async (_q, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await admin.metrics()),
  );
  app.post('/api/v1/lb/drain', asks('operator'), async (q) => admin.drain(who(q).name));
  app.post('/api/v1/lb/undrain', asks('operator'), async (q) => admin.undrain(who(q).name));
  let taps = 0;
  app.get('/api/v1/tap', asks('viewer'), (q, reply) => {
    if (taps >= MAX_TAPS) {
      reply.code(503).send({ error: `${MAX_TAPS} already follow` });
      return;
    }
    taps++;
    reply.hijack();
    reply.raw.writeHead(200, { ...HEADERS, 'content-type': 'application/x-ndjson' });
    reply.raw.flushHeaders();
    const end = admin.tap({ type: parameter(q, 'type'), device: parameter(q, 'device') }, (lines) => {
      // A slow reader is never waited for: what does not fit is skipped and counted by the instance.
      if (reply.raw.writableLength < 4 * 1024 * 1024) {
        reply.raw.write(lines.join('\n').concat('\n'));
        return true;
      }
      return false;
    });
    reply.raw.on('close', () => {
      taps--;
      end();
    });
  });
}

function foreign(q: FastifyRequest): boolean {
  const { origin, host } = q.headers;
  return origin !== undefined && origin.replace(/^https?:\/\//, '') !== host;
}

/** A query parameter that stands there once. */
function parameter(q: FastifyRequest, name: string): string | undefined {
  const value = (q.query as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : undefined;
}

/** The file is made inside listen: with this mask nobody else can open it in between. */
function listenPrivately(server: FastifyInstance['server'], path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.removeListener('error', reject);
      resolve();
    });
    const mask = process.umask(0o177);
    try {
      server.listen(path);
    } finally {
      process.umask(mask);
    }
  });
}

function plain(app: FastifyInstance): void {
  app.setNotFoundHandler((_q, reply) => reply.code(404).type('text/plain').send('not found\n'));
  app.setErrorHandler((error, _q, reply) =>
    reply
      .code((error as { statusCode?: number }).statusCode ?? 500)
      .send({ error: error instanceof Error ? error.message : String(error) }),
  );
}

function verdict(reply: FastifyReply, reasons: string[], verbose: boolean): FastifyReply {
  const text = reasons.length === 0 ? 'ok\n' : verbose ? `${reasons.join('\n')}\n` : 'not ok\n';
  return reply
    .code(reasons.length === 0 ? 200 : 503)
    .type('text/plain')
    .send(text);
}

/** A socket file nobody listens on is left over from a crash. */
async function clearStaleSocket(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const alive = await new Promise<boolean>((resolve) => {
    const c = connect(path);
    c.on('connect', () => {
      c.destroy();
      resolve(true);
    });
    c.on('error', () => resolve(false));
  });
  if (!alive) unlinkSync(path);
}
