import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectUnix, listenUnix, MAX_LINE, type UnixPeer, type UnixResult } from '../../src/net/unix.ts';
import { until } from './helpers.ts';

let dir = '';
let path = '';
const cleanup: (() => void)[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tg-unix-'));
  path = join(dir, 's.sock');
});
afterEach(() => {
  for (const f of cleanup.splice(0)) f();
  rmSync(dir, { recursive: true, force: true });
});

function good<T extends { close(): void }>(r: UnixResult<T>): T {
  if (!r.ok) throw new Error(r.text);
  cleanup.push(() => r.value.close());
  return r.value;
}

async function pair(): Promise<{ near: UnixPeer; far: UnixPeer }> {
  const peers: UnixPeer[] = [];
  good(await listenUnix(path, (p) => peers.push(p)));
  const far = good(await connectUnix(path));
  await until(() => peers.length === 1);
  return { near: peers[0], far };
}

describe('line JSON over a Unix socket', () => {
  it('carries messages both ways, whole and in order, also what came before the handler', async () => {
    const { near, far } = await pair();
    const got: unknown[] = [];
    const back: unknown[] = [];
    const big = { text: 'é\n'.repeat(100_000) };
    for (let i = 0; i < 500; i++) expect(far.send({ i, text: 'ü' })).toBe(true);
    expect(far.send(big)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    near.onMessage = (m) => got.push(m);
    far.onMessage = (m) => back.push(m);
    near.send('answer');
    await until(() => got.length === 501 && back.length === 1);
    expect(got.slice(0, 500)).toEqual(Array.from({ length: 500 }, (_, i) => ({ i, text: 'ü' })));
    expect(got[500]).toEqual(big);
    expect(back).toEqual(['answer']);
  });

  it('tells the end once, also to a handler that comes late', async () => {
    const { near, far } = await pair();
    const ends: unknown[] = [];
    near.onMessage = () => {};
    far.send('last');
    far.close();
    await new Promise((resolve) => setTimeout(resolve, 30));
    near.onClose = (error) => ends.push(error);
    far.onClose = (error) => ends.push(error);
    await until(() => ends.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(ends).toEqual([undefined, undefined]);
    expect(near.send('x')).toBe(false);
    expect(far.send('x')).toBe(false);
  });

  it('sends no message longer than the limit', async () => {
    const { near, far } = await pair();
    const got: unknown[] = [];
    near.onMessage = (m) => got.push((m as string).length);
    expect(far.send('x'.repeat(MAX_LINE - 2))).toBe(false);
    expect(far.send('x'.repeat(MAX_LINE - 3))).toBe(true);
    await until(() => got.length === 1);
    expect(got).toEqual([MAX_LINE - 3]);
  });

  it('closes on a line without end and on a line that is not JSON', async () => {
    const reasons: (string | undefined)[] = [];
    good(
      await listenUnix(path, (p) => {
        p.onMessage = () => {};
        p.onClose = (error) => reasons.push(error);
      }),
    );
    for (const text of ['x'.repeat(MAX_LINE + 10), '{"a":\n']) {
      const raw = connect(path);
      raw.on('error', () => {});
      raw.write(text);
      await new Promise((resolve) => raw.once('close', resolve));
    }
    await until(() => reasons.length === 2);
    expect(reasons).toEqual([`a line is longer than ${MAX_LINE} bytes`, 'a line is not JSON']);
  });

  it('makes the file 0600, or 0660 for a group', async () => {
    const gid = process.getgid?.() ?? 0;
    const listener = good(await listenUnix(path, () => {}));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    good(await listenUnix(`${path}2`, () => {}, gid));
    expect(statSync(`${path}2`).mode & 0o777).toBe(0o660);
    listener.close();
    await until(() => !statSync(path, { throwIfNoEntry: false }));
  });

  it('replaces a stale socket, but no living one and no file', async () => {
    // A process that ends without closing leaves its socket file.
    const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(() => execFileSync(process.execPath, ['-e', code], { stdio: 'ignore' })).toThrow();
    expect(statSync(path).isSocket()).toBe(true);
    expect(await connectUnix(path)).toMatchObject({ ok: false, code: 'ECONNREFUSED' });
    good(await listenUnix(path, () => {}));
    good(await connectUnix(path));

    expect(await listenUnix(path, () => {})).toMatchObject({ ok: false, code: 'EADDRINUSE' });
    good(await connectUnix(path));

    const file = join(dir, 'file');
    writeFileSync(file, 'x');
    expect(await listenUnix(file, () => {})).toMatchObject({ ok: false, code: 'EEXIST' });
    expect(statSync(file).size).toBe(1);
    expect(await listenUnix(join(dir, 'no', 'folder'), () => {})).toMatchObject({ ok: false });
    expect(await connectUnix(join(dir, 'nobody'))).toMatchObject({ ok: false, code: 'ENOENT' });
  });

  it('ends a peer that does not read', async () => {
    const server = createServer({ pauseOnConnect: true }, () => {});
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const peer = good(await connectUnix(path));
    const ends: (string | undefined)[] = [];
    peer.onClose = (error) => ends.push(error);
    const message = 'x'.repeat(900_000);
    let sent = 0;
    while (sent < 100 && peer.send(message)) sent++;
    await until(() => ends.length === 1);
    server.close();
    expect(sent).toBeLessThan(100);
    expect(ends).toEqual(['the other side does not read']);
  });
});
