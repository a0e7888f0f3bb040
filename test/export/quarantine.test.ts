/** The quarantine: bounded in size and number of files, and what goes with the oldest is counted. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { QuarantineFile } from '../../src/export/kafka/quarantine.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quarantine-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = () => new QuarantineFile(dir, 'kafka', 0, 'edge-1', { maxBytes: 300, kept: 2 });
const put = (q: QuarantineFile, i: number) =>
  q.putRaw(Buffer.from(`record ${i}`), { segment: 1, offset: i }, 'too large', '2026-01-01T00:00:00Z');
const offsets = (name: string) =>
  readFileSync(join(dir, name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { offset: number }).offset);

it('keeps the newest events in a bounded number of files, over restarts, and counts what goes', () => {
  const dropped: [string, number][] = [];
  let kept = 0;
  const total = 40;
  for (let i = 0, q = open(); i < total; i++) {
    q.onDropped = (file, events) => dropped.push([file, events]);
    put(q, i);
    if (i % 7 === 6) {
      q.close();
      q = open();
    }
  }
  const files = ['kafka-0.2.jsonl', 'kafka-0.1.jsonl', 'kafka-0.jsonl'];
  expect(readdirSync(dir).sort()).toEqual(files.toSorted());
  const left = files.flatMap(offsets);
  kept = left.length;
  // In order, without a gap, up to the newest; and every other one is counted.
  expect(left).toEqual(Array.from({ length: kept }, (_, i) => total - kept + i));
  expect(dropped.length).toBeGreaterThan(1);
  expect(dropped.every(([file]) => file === 'kafka-0.2.jsonl')).toBe(true);
  expect(dropped.reduce((n, [, events]) => n + events, 0)).toBe(total - kept);
});
