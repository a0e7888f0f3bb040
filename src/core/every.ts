import type { Clock } from './clock.ts';

/** Calls `fn` each `ms` milliseconds, counted from the end of the last call, until `ended` says so. */
export function every(clock: Clock, ms: number, ended: () => boolean, fn: () => void): void {
  const again = (): void => {
    if (ended()) return;
    fn();
    clock.setTimeout(again, ms);
  };
  clock.setTimeout(again, ms);
}
