import { describe, expect, it } from 'vitest';
import { LB_REASONS, lbReason } from '../../src/telemetry/lb-reasons.ts';

describe('reasons as codes', () => {
  it.each([
    ['worker 1: missing', 'worker-missing'],
    ['worker 0: channel closed', 'channel-closed'],
    ['worker 0: lease expired', 'lease-expired'],
    ['starting', 'starting'],
    ['worker 2: sockets are not read yet', 'starting'],
    ['stopping: SIGTERM received', 'stopping'],
    ['drain requested', 'draining'],
    ['worker 0: draining', 'draining'],
    ['worker 0: disk not writable: ENOSPC', 'disk'],
    ['worker 0: disk: a record waits over 1 s for its fdatasync', 'disk'],
    ['worker 0: socket not polled: EIO', 'socket'],
    ['worker 0: spool 82 % full of events that are not exported', 'spool'],
    ['worker 0: exporter kafka delivers nothing', 'export-lag'],
    ['worker 3: kernel-drops', 'kernel-drops'],
    ["the clock is 40 s behind the cluster members' clocks", 'clock'],
    ['something that nobody thought of', 'other'],
  ])('%s is %s', (text, code) => expect(lbReason(text)).toBe(code));

  it('each has its place', () => expect(new Set(LB_REASONS).size).toBe(LB_REASONS.length));
});
