import { beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../src/core/clock.ts';
import type { FromSpeaker, FromSpeakerToWorker, SpeakerDecision } from '../../src/process/messages.ts';
import { SpeakerBeat } from '../../src/process/speaker-beat.ts';

let clock: ManualClock;
let decision: SpeakerDecision;
let skew: number | undefined;
let sent: FromSpeaker[];
let told: FromSpeakerToWorker[];
let beat: SpeakerBeat;

beforeEach(() => {
  clock = new ManualClock();
  decision = { code: 200, grade: 'full', reasons: [] };
  skew = undefined;
  sent = [];
  told = [];
  beat = new SpeakerBeat({
    clock,
    decision: () => decision,
    clockSkew: () => skew,
    samples: () => [['tidegate_lb_grade', '', 2]],
    send: (m) => sent.push(m),
    tell: (m) => told.push(m),
  });
});

function ticks(times: number, each: number): void {
  for (let i = 0; i < times; i++) {
    clock.advance(each);
    beat.tick();
  }
}

it('the supervisor hears it each 400 ms however often it ticks, with metrics each second', () => {
  beat.now();
  ticks(40, 100);
  expect(sent).toHaveLength(11);
  expect(sent.filter((m) => m.kind === 'beat' && m.samples.length > 0)).toHaveLength(6);
  sent.length = 0;
  ticks(10, 400);
  expect(sent).toHaveLength(10);
});

it('the others hear what is new, and those who come later what holds', () => {
  beat.now();
  ticks(10, 400);
  expect(told).toEqual([{ kind: 'decision', decision, clockSkew: undefined }]);
  skew = 12;
  ticks(1, 400);
  expect(told).toHaveLength(2);
  const heard: unknown[] = [];
  beat.greet({ send: (m) => heard.push(m) > 0 });
  expect(heard).toEqual([{ kind: 'decision', decision, clockSkew: 12 }]);
});

it('a change is said at once, and once for all that changes in one turn', async () => {
  beat.now();
  decision = { code: 429, grade: 'degraded', reasons: ['draining'] };
  beat.hurry();
  decision = { code: 503, grade: 'dead', reasons: ['stopping'] };
  beat.hurry();
  await Promise.resolve();
  expect(sent).toHaveLength(2);
  expect(sent[1]).toMatchObject({ decision: { code: 503 }, samples: [['tidegate_lb_grade', '', 2]] });
  expect(told.map((m) => m.kind === 'decision' && m.decision.code)).toEqual([200, 503]);
});
