/**
 * Is an authentic message fresh? RFC 3414 section 3.2 step 7.
 *
 *   a) we are authoritative: boots must be ours, and time within 150 s of ours
 *   b) the sender is: what it last said of itself is kept, and its clock is assumed to run on from there. A message is late where its
 *      boots are less, or boots are equal and its time is more than 150 s behind that clock. The first message of an engine is believed.
 *
 *   mode        a message of a sending engine is accepted where
 *   strict      b) holds
 *   monotonic   it is not older than the newest one: for agents whose clock stands still
 *   off         always: for agents that forget boots and time
 */
import { BoundedMap } from './bounded.ts';

export const TIME_WINDOW = 150;
export const MAX_BOOTS = 2_147_483_647;

export type Timeliness = 'strict' | 'monotonic' | 'off';

/** 7 a. */
export function inOwnWindow(own: { boots: number; time: number }, boots: number, time: number): boolean {
  return own.boots !== MAX_BOOTS && boots === own.boots && Math.abs(time - own.time) <= TIME_WINDOW;
}

interface Known {
  boots: number;
  /** latestReceivedEngineTime, and the milliseconds at which it was received. */
  time: number;
  at: number;
}

/** `tolerated`: strict would have refused it. */
export type Verdict = 'fresh' | 'tolerated' | 'late';

/** What is known of the clocks of sending engines: RFC 3414 section 2.3. */
export class EngineClocks {
  private readonly known: BoundedMap<Known>;

  constructor(limit: number) {
    this.known = new BoundedMap(limit);
  }

  get size(): number {
    return this.known.size;
  }

  resize(limit: number): void {
    this.known.resize(limit);
  }

  /** 7 b, for an authentic message. `now`: milliseconds, monotonic. */
  judge(now: number, engine: string, boots: number, time: number, mode: Timeliness): Verdict {
    const k = this.known.get(engine);
    if (k === undefined) {
      if (boots === MAX_BOOTS && mode === 'strict') return 'late';
      this.known.set(engine, { boots, time, at: now });
      return boots === MAX_BOOTS ? 'tolerated' : 'fresh';
    }
    const newer = boots > k.boots || (boots === k.boots && time > k.time);
    const older = boots < k.boots || (boots === k.boots && time < k.time);
    const notional = k.time + Math.floor((now - k.at) / 1000);
    const late = boots === MAX_BOOTS || (!newer && (boots < k.boots || time < notional - TIME_WINDOW));
    if (late && (mode === 'strict' || (mode === 'monotonic' && older))) return 'late';
    if (newer || (late && mode === 'off')) {
      k.boots = boots;
      k.time = time;
      k.at = now;
    }
    return late ? 'tolerated' : 'fresh';
  }
}
