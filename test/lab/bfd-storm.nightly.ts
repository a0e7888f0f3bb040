/** `npm run nightly`: the storm of bfd-storm.test.ts for ten minutes. */
import { afterAll, describe, expect, it } from 'vitest';
import { bfdUnderStorm, stormText } from './bfd-storm.ts';
import { Lab } from './netns.ts';

const SECONDS = Number(process.env.TIDEGATE_STORM_SECONDS ?? 600);

describe('BFD under a long trap storm', () => {
  const lab = new Lab();
  afterAll(() => lab.close());

  it(
    `no session of 300 ms × 3 falls in ${SECONDS} s`,
    async () => {
      const r = await bfdUnderStorm(lab, SECONDS);
      console.log(
        `${stormText(r)}\nlate (s), timers: ${r.lateness.map(([bound, n]) => `≤ ${bound}: ${n}`).join(', ')}`,
      );
      expect(r.downs.get(300)).toEqual({ ours: 0, frr: 0 });
      expect(r.dropped).toBeGreaterThan(0);
    },
    (SECONDS + 300) * 1000,
  );
});
