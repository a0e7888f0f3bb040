/** How a verb talks to a running instance: HTTP over admin.sock. */
import { type IncomingMessage, request } from 'node:http';
import { isAbsolute, join, relative, resolve } from 'node:path';

export class NotRunning extends Error {}
/** The instance is somebody else's. */
export class NotAllowed extends Error {}

function unreachable(e: NodeJS.ErrnoException, socket: string): Error {
  if (e.code === 'ENOENT' || e.code === 'ECONNREFUSED') return new NotRunning(`no instance listens on ${socket}`);
  if (e.code !== 'EACCES' && e.code !== 'EPERM') return e;
  return new NotAllowed(
    `${socket} cannot be opened as uid ${process.getuid?.()}: run this as the user the instance runs as`,
  );
}

/** The path of an instance's socket. A long data_dir does not fit into a socket address: then the working directory becomes data_dir. */
export function socketPath(dataDir: string, socket: string): string {
  const path = isAbsolute(socket) ? socket : join(resolve(dataDir), socket);
  if (path.length < 100) return path;
  try {
    process.chdir(resolve(dataDir));
  } catch {
    return path;
  }
  return relative(process.cwd(), path) || socket;
}

/** One call; resolves with the parsed answer. Throws NotRunning where nobody listens. */
export function call(socket: string, method: 'GET' | 'POST', path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const req = request({ socketPath: socket, method, path, timeout: 10_000 }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (c: Buffer) => chunks.push(c));
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const json = res.headers['content-type']?.includes('json') ? JSON.parse(text) : text;
        if ((res.statusCode ?? 500) >= 400)
          reject(new Error(typeof json === 'string' ? json : String(json.error ?? text)));
        else resolve(json);
      });
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error('the instance does not answer')));
    req.on('error', (e: NodeJS.ErrnoException) => reject(unreachable(e, socket)));
    req.end();
  });
}

/** Follows a stream of lines until it ends or `stop` is called. */
export function follow(
  socket: string,
  path: string,
  onLine: (line: string) => void,
): { stop: () => void; ended: Promise<void> } {
  let stop = (): void => {};
  const ended = new Promise<void>((resolve, reject) => {
    const req = request({ socketPath: socket, method: 'GET', path }, (res) => {
      if ((res.statusCode ?? 500) >= 400) {
        refusalOf(res, reject);
        return;
      }
      let rest = '';
      res.setEncoding('utf8');
      res.on('data', (c: string) => {
        const lines = (rest + c).split('\n');
        rest = lines.pop()!;
        for (const line of lines) if (line !== '') onLine(line);
      });
      res.on('end', resolve);
      res.on('error', () => resolve());
    });
    stop = () => {
      req.destroy();
      resolve();
    };
    req.on('error', (e: NodeJS.ErrnoException) => reject(unreachable(e, socket)));
    req.end();
  });
  return { stop: () => stop(), ended };
}

/** Rejects with the words of the instance. */
function refusalOf(res: IncomingMessage, reject: (e: Error) => void): void {
  let text = '';
  res.setEncoding('utf8');
  res.on('data', (c: string) => {
    text += c;
  });
  res.on('end', () => {
    try {
      reject(new Error(String((JSON.parse(text) as { error?: string }).error ?? text)));
    } catch {
      reject(new Error(text));
    }
  });
}
