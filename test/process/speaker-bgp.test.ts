/** Whether a speaker notices that the one before it died: also where graceful restart came with a reload. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bgpEdges, forgetRun, noteRun } from '../../src/process/speaker-bgp.ts';

const before = process.cwd();
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'speaker-bgp-'));
  process.chdir(dir);
});
afterEach(() => {
  process.chdir(before);
  rmSync(dir, { recursive: true });
});

it('a death is noticed from the reload on that brings graceful restart, and not after one that takes it away', () => {
  const start = (restarts: boolean) => bgpEdges(undefined, {}, restarts).restarted!();
  expect(start(false)).toBe(false);
  noteRun(true);
  expect(start(true)).toBe(true);
  noteRun(false);
  expect(start(true)).toBe(false);
  forgetRun();
  expect(existsSync('speaker-runs')).toBe(false);
});
