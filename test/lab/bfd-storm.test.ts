/** BFD of the whole product while its ingest workers are saturated; ten minutes of it are in bfd-storm.nightly.ts. */
import { afterAll, describe, expect, it } from 'vitest';
import { bfdUnderStorm, stormText } from './bfd-storm.ts';
import { Lab } from './netns.ts';
import { labAvailable } from './peers.ts';

const SECONDS = 20;

describe.skipIf(!labAvailable('bgpd', 'bfdd', 'vtysh'))('BFD under a trap storm', () => {
  const lab = new Lab();
  afterAll(() => lab.close());

  it('no session of 300 ms × 3 falls', async () => {
    const r = await bfdUnderStorm(lab, SECONDS);
    console.log(stormText(r));
    expect(r.downs.get(300)).toEqual({ ours: 0, frr: 0 });
    // It was one: more came than was read.
    expect(r.dropped).toBeGreaterThan(0);
    // A real-time thread that waits for V8's other threads waits for the processor after all.
    expect(r.priority).toBe('realtime');
    expect(r.speaker).toContain('--single-threaded');
  });
});
