/** Waiting for a state, not for a time: the ceiling is generous and only there to turn a hang into a failure that says what was missing. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Milliseconds after which it is a failure. */
  ceiling?: number;
  /** Milliseconds between two looks. */
  every?: number;
}

/**
 * Asks `fn` until it answers something truthy, and returns that. An exception counts as "not yet".
 * Throws after the ceiling with `what` and the last answer or exception.
 */
export async function waitFor<T>(
  fn: () => T | Promise<T>,
  what: string,
  { ceiling = 90_000, every = 50 }: WaitOptions = {},
): Promise<NonNullable<T>> {
  const until = Date.now() + ceiling;
  let last: unknown;
  for (;;) {
    try {
      const answer = await fn();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      last = error instanceof Error ? error.message : error;
    }
    if (Date.now() > until) throw new Error(`waited ${ceiling / 1000} s for: ${what}; last: ${JSON.stringify(last)}`);
    await sleep(every);
  }
}
