/** What the checkpoints of a shard say, without loading an exporter. */

import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { Checkpoint, checkpointPath } from '../spool/checkpoint.ts';
import type { SpoolFs } from '../spool/fs.ts';
import { comparePositions } from '../spool/segment-file.ts';
import type { Position } from '../spool/types.ts';
import { type ExportConfig, isDurable } from './config.ts';
import { savedLowWater } from './kafka/state.ts';
import { RELAYED, relayLowWater } from './relay/state.ts';

/** The names of the exporters the spool waits for. */
export function durableExporters(config: ExportConfig): string[] {
  return Object.entries(config.exporters)
    .filter(([, e]) => isDurable(e))
    .map(([name]) => name);
}

/** Up to where each class is exported by all durable exporters. Throws SpoolFormatError where a newer version wrote a checkpoint. */
export function knownLowWater(
  fs: SpoolFs,
  shard: string,
  config: ExportConfig,
): Partial<Record<EventClass, Position>> | undefined {
  const marks = durableExporters(config).map((name) => {
    const { state } = new Checkpoint(fs, checkpointPath(shard, name));
    const relay = config.exporters[name].type === 'relay';
    return { low: relay ? relayLowWater(state) : savedLowWater(state), holds: relay ? RELAYED : EVENT_CLASSES };
  });
  if (marks.length === 0) return undefined;
  const out: Partial<Record<EventClass, Position>> = {};
  for (const cls of EVENT_CLASSES) {
    let low: Position | undefined;
    for (const { low: m, holds } of marks) {
      if (!holds.includes(cls)) continue;
      const at = m[cls] ?? { segment: 0, offset: 0 };
      if (!low || comparePositions(at, low) < 0) low = at;
    }
    if (low) out[cls] = low;
  }
  return out;
}
