/**
 * The two doors of an instance. The network door (`admin.listen`) answers probes and metrics and nothing else; the local door
 * (`admin.socket`) is the whole API, and file permission is its lock.
 */
import { existsSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
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
  app.get('/api/v1/status', async () => admin.status());
  app.get('/api/v1/lb', async () => admin.lb());
  app.get('/api/v1/spool', async () => admin.spool());
  app.get('/api/v1/exporters', async () => admin.exporters());
  app.get('/api/v1/config', async () => admin.configuration());
  app.get('/api/v1/explain', async (q) => admin.explain(String((q.query as Record<string, unknown>).device ?? '')));
  app.get('/metrics', async (_q, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await admin.metrics()),
  );
  app.post('/api/v1/lb/drain', async () => admin.drain('local'));
  app.post('/api/v1/lb/undrain', async () => admin.undrain('local'));
  app.get('/api/v1/tap', (q, reply) => {
    const query = q.query as Record<string, string | undefined>;
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const end = admin.tap({ type: query.type, device: query.device }, (lines) => {
      // A slow reader is never waited for: what does not fit is skipped and counted by the instance.
      if (reply.raw.writableLength < 4 * 1024 * 1024) {
        reply.raw.write(lines.join('\n').concat('\n'));
        return true;
      }
      return false;
    });
    reply.raw.on('close', end);
  });
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
