/** Several starters on one stale lock: one wins, and the others name it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, expect, it } from 'vitest';

const STARTERS = 4;
const ROUNDS = 40;
const dir = mkdtempSync(join(tmpdir(), 'lock-race-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const c of children) c.kill();
  rmSync(dir, { recursive: true, force: true });
});

/** Takes each lock it is told of, at the moment it is told. */
const STARTER = `
import { createInterface } from 'node:readline';
import { takeLock } from ${JSON.stringify(new URL('../../src/process/lock.ts', import.meta.url).href)};
console.log('up');
for await (const line of createInterface({ input: process.stdin })) {
  const [file, at] = line.split(' ');
  while (Date.now() < Number(at));
  const r = takeLock(file);
  console.log('held' in r ? 'held ' + r.held.pid : 'won ' + process.pid);
}`;

it('one starter takes over a stale lock, whoever else tries at the same moment', async () => {
  const answers = Array.from({ length: STARTERS }, () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', STARTER], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  });
  const all = async () => (await Promise.all(answers.map((a) => a.next()))).map((r) => String(r.value));
  expect(await all()).toEqual(Array(STARTERS).fill('up'));
  for (let round = 0; round < ROUNDS; round++) {
    const file = join(dir, `lock-${round}`);
    // A holder that is gone.
    writeFileSync(file, JSON.stringify({ pid: 999_999_999, started: '1' }));
    const at = Date.now() + 20;
    for (const c of children) c.stdin!.write(`${file} ${at}\n`);
    const said = await all();
    const winner = said.find((s) => s.startsWith('won'))?.slice(4);
    expect(said.toSorted()).toEqual([...Array(STARTERS - 1).fill(`held ${winner}`), `won ${winner}`]);
    expect(JSON.parse(readFileSync(file, 'utf8')).pid).toBe(Number(winner));
  }
  // One that was killed while it took over left its guard behind.
  const file = join(dir, 'lock-guarded');
  for (const f of [file, `${file}.takeover`]) writeFileSync(f, JSON.stringify({ pid: 999_999_999, started: '1' }));
  children[0].stdin!.write(`${file} 0\n`);
  expect((await answers[0].next()).value).toBe(`won ${children[0].pid}`);
  expect(readdirSync(dir)).toHaveLength(ROUNDS + 1);
});
