import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { silentLog } from '../../src/core/log.ts';
import { clockStore } from '../../src/process/clock-store.ts';

it('keeps the mark over restarts; what is missing or damaged says nothing', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'clock-'));
  try {
    const path = join(dir, 'engine-clock-0.json');
    const store = clockStore(path, silentLog);
    expect(store.load()).toBeUndefined();
    store.save({ boots: 3, ms: 1_700_000_000_000 });
    await expect.poll(() => clockStore(path, silentLog).load()).toEqual({ boots: 3, ms: 1_700_000_000_000 });
    writeFileSync(path, '{"boots":3,');
    expect(clockStore(path, silentLog).load()).toBeUndefined();
    writeFileSync(path, '{"boots":"3","ms":1}');
    expect(clockStore(path, silentLog).load()).toBeUndefined();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
