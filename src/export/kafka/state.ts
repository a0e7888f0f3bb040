/** What a Kafka exporter saves of a shard: where each lane of each class stands. */
import { EVENT_CLASSES, type EventClass } from '../../event/types.ts';
import { comparePositions } from '../../spool/segment-file.ts';
import type { Position } from '../../spool/types.ts';
import type { LanesState } from './lane.ts';

export interface KafkaState {
  v: 1;
  classes: Partial<Record<EventClass, LanesState>>;
}

/** The low-water mark of each class in a saved state; a class without one was never exported. */
export function savedLowWater(state: unknown): Partial<Record<EventClass, Position>> {
  const out: Partial<Record<EventClass, Position>> = {};
  const saved = state as Partial<KafkaState> | null | undefined;
  for (const cls of EVENT_CLASSES) {
    const lanes = saved?.classes?.[cls];
    if (!lanes) continue;
    let low = lanes.position;
    for (const s of lanes.stragglers) if (comparePositions(s.position, low) < 0) low = s.position;
    out[cls] = low;
  }
  return out;
}
