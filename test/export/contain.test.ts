/** What a client library lets fall ends neither the thread nor, with it, the worker; what is our own fault is told as that. */
import { Worker as Thread } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

describe('errors nobody caught, in a thread', () => {
  it('a library’s are contained and the thread goes on; our own are fatal', async () => {
    const thread = new Thread(new URL('./falling-thread.ts', import.meta.url));
    const got: { kind: string; message: string }[] = [];
    let tell: () => void = () => {};
    thread.on('message', (m) => {
      got.push(m);
      tell();
    });
    const died = new Promise<never>((_, reject) => {
      thread.on('error', reject);
      thread.on('exit', (code) => reject(new Error(`the thread ended with ${code}`)));
    });
    died.catch(() => {});
    const kinds: string[] = [];
    for (const what of ['rejection', 'exception', 'connection', 'runtime', 'own']) {
      const answer = new Promise<void>((resolve) => {
        tell = resolve;
      });
      thread.postMessage(what);
      await Promise.race([answer, died]);
      kinds.push(`${what} ${got.at(-1)!.kind}`);
    }
    await thread.terminate();
    expect(kinds).toEqual([
      'rejection contained',
      'exception contained',
      'connection contained',
      'runtime contained',
      'own fatal',
    ]);
    expect(got[0].message).toContain('callback is not a function');
  });
});
