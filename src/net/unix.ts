import { Buffer } from 'node:buffer';
import { chownSync, lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { errorText } from './problem.ts';

/** A message is one line of JSON, at most this many bytes with its line feed. */
export const MAX_LINE = 1024 * 1024;

/** Bytes the other side may leave unread. */
const MAX_UNSENT = 8 * 1024 * 1024;

/** One end of a line-JSON channel over a Unix socket. Messages that come before `onMessage` is set wait; so does the end. */
export interface UnixPeer {
  /** False where nothing was sent: closed, or the message is longer than MAX_LINE. */
  send(message: unknown): boolean;
  onMessage: (message: unknown) => void;
  /** Once; undefined where the other side closed properly. */
  onClose: (error: string | undefined) => void;
  close(): void;
}

export type UnixResult<T> = { ok: true; value: T } | { ok: false; code: string; text: string };

/**
 * Listens at `path` with mode 0600, or 0660 for the group `gid`. A socket file left by an earlier process is removed, but only after
 * a connection attempt was refused; anything else in that place stays.
 */
export async function listenUnix(
  path: string,
  onPeer: (peer: UnixPeer) => void,
  gid?: number,
): Promise<UnixResult<{ close(): void }>> {
  const stale = await removeStale(path);
  if (stale) return stale;
  return new Promise((resolve) => {
    const peers = new Set<SocketPeer>();
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      const peer = new SocketPeer(socket);
      peers.add(peer);
      socket.on('close', () => peers.delete(peer));
      onPeer(peer);
    });
    const failed = (error: Error): void => resolve(unixProblem(path, error));
    server.once('error', failed);
    server.once('listening', () => {
      server.removeListener('error', failed);
      server.on('error', () => {});
      try {
        // In a folder with the set-group-ID bit it belongs to the group already.
        if (gid !== undefined && statSync(path).gid !== gid) chownSync(path, -1, gid);
      } catch (error) {
        server.close();
        resolve(unixProblem(path, error));
        return;
      }
      resolve({
        ok: true,
        value: {
          // Node removes the file of a socket that it closes.
          close: () => {
            server.close();
            for (const peer of peers) peer.close();
          },
        },
      });
    });
    // The file is made inside listen: with this mask nobody else can open it in between.
    const mask = process.umask(gid === undefined ? 0o177 : 0o117);
    try {
      server.listen(path);
    } finally {
      process.umask(mask);
    }
  });
}

/** Connects once; trying again is the caller's. */
export function connectUnix(path: string): Promise<UnixResult<UnixPeer>> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const failed = (error: Error): void => resolve(unixProblem(path, error));
    socket.once('error', failed);
    socket.pause();
    socket.once('connect', () => {
      const peer = new SocketPeer(socket);
      socket.removeListener('error', failed);
      resolve({ ok: true, value: peer });
    });
  });
}

function unixProblem(path: string, error: unknown): { ok: false; code: string; text: string } {
  return {
    ok: false,
    code: (error as { code?: string }).code ?? 'UNKNOWN',
    text: `${path}: ${errorText(error)}`,
  };
}

/** Undefined where the way is free. */
async function removeStale(path: string): Promise<{ ok: false; code: string; text: string } | undefined> {
  try {
    if (!lstatSync(path).isSocket()) return { ok: false, code: 'EEXIST', text: `${path} exists and is no socket` };
  } catch {
    // Nothing there, or a folder that listen will complain about.
    return undefined;
  }
  const attempt = await connectUnix(path);
  if (attempt.ok) {
    attempt.value.close();
    return { ok: false, code: 'EADDRINUSE', text: `${path}: another process listens there` };
  }
  if (attempt.code !== 'ECONNREFUSED') return attempt;
  try {
    unlinkSync(path);
    return undefined;
  } catch (error) {
    return unixProblem(path, error);
  }
}

const LINE_FEED = 10;

class SocketPeer implements UnixPeer {
  private readonly socket: Socket;
  private parts: Buffer[] = [];
  private size = 0;
  private error: string | undefined;
  private ended = false;
  private reported = false;
  private messageHandler: ((message: unknown) => void) | undefined;
  private closeHandler: ((error: string | undefined) => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.pause();
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('error', (error) => {
      this.error ??= errorText(error);
    });
    socket.on('close', () => {
      this.ended = true;
      this.report();
    });
  }

  get onMessage(): (message: unknown) => void {
    return this.messageHandler ?? (() => {});
  }

  set onMessage(handler: (message: unknown) => void) {
    this.messageHandler = handler;
    this.socket.resume();
  }

  get onClose(): (error: string | undefined) => void {
    return this.closeHandler ?? (() => {});
  }

  set onClose(handler: (error: string | undefined) => void) {
    this.closeHandler = handler;
    if (this.ended) queueMicrotask(() => this.report());
  }

  send(message: unknown): boolean {
    if (this.socket.destroyed || this.socket.writableEnded) return false;
    const line = Buffer.from(`${JSON.stringify(message)}\n`);
    if (line.length > MAX_LINE) return false;
    this.socket.write(line);
    if (this.socket.writableLength > MAX_UNSENT) this.fail('the other side does not read');
    return true;
  }

  close(): void {
    if (this.socket.destroyed) return;
    // What was sent goes out; the other side's end is only seen by reading on.
    this.messageHandler ??= () => {};
    this.socket.end();
    this.socket.resume();
  }

  private fail(reason: string): void {
    this.error ??= reason;
    this.socket.destroy();
  }

  private report(): void {
    if (this.reported || !this.ended || !this.closeHandler) return;
    this.reported = true;
    this.closeHandler(this.error);
  }

  private take(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      const tail = chunk.subarray(from, at);
      if (this.size + tail.length >= MAX_LINE) {
        this.fail(`a line is longer than ${MAX_LINE} bytes`);
        return;
      }
      const line = this.parts.length === 0 ? tail : Buffer.concat([...this.parts, tail]);
      this.parts = [];
      this.size = 0;
      from = at + 1;
      let message: unknown;
      try {
        message = JSON.parse(line.toString('utf8'));
      } catch {
        this.fail('a line is not JSON');
        return;
      }
      this.messageHandler?.(message);
      if (this.socket.destroyed) return;
    }
    if (from === chunk.length) return;
    this.parts.push(chunk.subarray(from));
    this.size += chunk.length - from;
    if (this.size >= MAX_LINE) this.fail(`a line is longer than ${MAX_LINE} bytes`);
  }
}
