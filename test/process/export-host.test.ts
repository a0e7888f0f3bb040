import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../src/core/log.ts';
import { exportConfig } from '../../src/export/config.ts';
import { ExportHost, type ExportHostStart } from '../../src/process/export-host.ts';
import { Registry } from '../../src/telemetry/registry.ts';

describe('the export thread as its worker sees it', () => {
  it('ends when it is told to, and then stops at once', async () => {
    const shard = mkdtempSync(join(tmpdir(), 'tidegate-export-host-'));
    const host = await ExportHost.load(silentLog);
    host.start({
      init: {
        index: 0,
        of: 1,
        config: {
          ...{ site: 's', node: 'n1', lb: { vips: [] }, spool: { max_bytes: 1 } },
          export: exportConfig.parse({ stdout: { enabled: false } }),
        },
        shard,
        olderShards: [],
      } as unknown as ExportHostStart['init'],
      boot: 1,
      ends: {} as ExportHostStart['ends'],
      metrics: new Registry(),
      onExported: () => {},
      onLowWater: () => {},
      onLines: () => {},
      onFailed: () => {},
    });
    await host.stop(1000);
    expect(host.progress).toEqual([]);
    await host.stop(1000);
    rmSync(shard, { recursive: true });
  });
});
