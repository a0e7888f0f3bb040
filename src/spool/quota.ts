/**
 * Which kinds of events a spool takes that is filling up. Pure. Fill is what no durable exporter has yet, on the whole node.
 *
 * Room is counted from the point of view of who asks. A fifth of the spool belongs to alarms and a hundredth (16 MiB at most) to the
 * system's own events, used or not: other classes see a full spool when only these parts are left, informs and traps see one when
 * only the system's is. Each kind has a least room below which it is shed, in the order of SHED_ORDER, so that one kind never takes
 * what the next more precious one needs. Coming back takes more room than leaving did.
 */
import { EVENT_CLASSES, type EventClass, SHED_ORDER, type ShedKind } from '../event/types.ts';

export interface QuotaLimits {
  /** spool.max_bytes, of the node. */
  maxBytes: number;
  /** Shares of maxBytes. */
  highWater: number;
  lowWater: number;
  /** spool.max_unsynced_bytes, of this worker. */
  maxUnsynced: number;
}

/** Unexported bytes of the whole node by class: this shard now, the others as they last reported, and older generations. */
export type Unexported = Record<EventClass, number>;

const ALARM_SHARE = 0.2;
const SYSTEM_SHARE = 0.01;
const SYSTEM_MOST = 16 * 1024 * 1024;

/** Shed where the room, as a share of maxBytes, is not more than this; taken again above `back`. */
const LEAST_ROOM: Record<ShedKind, { least: number; back: number }> = {
  sample: { least: 0.1, back: 0.13 },
  session: { least: 0.06, back: 0.1 },
  'on-change': { least: 0.03, back: 0.06 },
  inform: { least: 0.02, back: 0.04 },
  trap: { least: 0, back: 0.01 },
  system: { least: 0, back: 0.0025 },
};

export class Quota {
  private readonly limits: QuotaLimits;
  /** SHED_ORDER[0 .. level-1] are shed. */
  private level = 0;
  private high = false;
  private unsyncedFull = false;
  /** Unexported bytes as a share of maxBytes, as of the last update. */
  fill = 0;

  constructor(limits: QuotaLimits) {
    this.limits = limits;
  }

  /** Cheap enough for each batch: call it whenever bytes were appended or exported, and when other workers report. */
  update(unexported: Unexported, unsynced = 0): void {
    const { maxBytes, highWater, lowWater, maxUnsynced } = this.limits;
    let used = 0;
    for (const cls of EVENT_CLASSES) used += unexported[cls];
    used += unsynced;
    this.fill = used / maxBytes;
    const free = maxBytes - used;
    const systemLeft = Math.max(0, Math.min(SYSTEM_SHARE * maxBytes, SYSTEM_MOST) - unexported.system);
    const alarmLeft = Math.max(0, ALARM_SHARE * maxBytes - unexported.alarm);
    const forAlarm = free - systemLeft;
    const forOthers = forAlarm - alarmLeft;
    const room = (kind: ShedKind) =>
      (kind === 'system' ? free : kind === 'inform' || kind === 'trap' ? forAlarm : forOthers) / maxBytes;

    let level = 0;
    SHED_ORDER.forEach((kind, i) => {
      if (room(kind) <= LEAST_ROOM[kind].least) level = i + 1;
    });
    if (level > this.level) this.level = level;
    while (this.level > level) {
      const kind = SHED_ORDER[this.level - 1];
      if (room(kind) <= LEAST_ROOM[kind].back) break;
      // Closed sessions come back with a whole table each: not before there is real room.
      if (kind === 'session' && this.fill >= lowWater) break;
      this.level--;
    }

    if (unsynced >= 2 * maxUnsynced) this.unsyncedFull = true;
    else if (unsynced <= maxUnsynced) this.unsyncedFull = false;
    if (this.fill >= highWater || this.level > 0) this.high = true;
    else if (this.fill < lowWater) this.high = false;
  }

  /**
   * Is an event of this kind taken now? Apart from room on disk: streams pause at maxUnsynced bytes that wait in memory, so the same
   * again is left for datagrams; beyond that only the system's own events are taken.
   */
  accepts(kind: ShedKind): boolean {
    if (this.unsyncedFull && kind !== 'system') return false;
    return SHED_ORDER.indexOf(kind) >= this.level;
  }

  /** The soft reason of the grade: fill reached high water, or something is shed, and low water is not yet reached again. */
  get overHighWater(): boolean {
    return this.high;
  }

  /** True where sessions that are up are to be closed. */
  get closeSessions(): boolean {
    return !this.accepts('session') && !this.unsyncedFull;
  }
}
