/** When an instance of the speaker alone comes after the death of another: in the same boot of the machine, and without an ordered end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { beginRun, endRun } from '../../src/process/speaker-run.ts';

const cwd = process.cwd();
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tidegate-run-'));
  process.chdir(dir);
});
afterAll(() => {
  process.chdir(cwd);
  rmSync(dir, { recursive: true });
});

it('is a restart of the speaker only within one boot and without an ordered end', () => {
  expect(beginRun('boot-1')).toBe(false);
  expect(beginRun('boot-1')).toBe(true);
  expect(beginRun('boot-2')).toBe(false);
  endRun();
  expect(beginRun('boot-2')).toBe(false);
  expect(beginRun(undefined)).toBe(false);
});
