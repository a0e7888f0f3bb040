/** What an ingest instance in another container may say to the speaker, and what the speaker makes of it. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { UnixPeer } from '../../src/net/unix.ts';
import { IngestDoor } from '../../src/process/ingest-door.ts';
import { lookUpUser } from '../../src/process/privileges.ts';

type Door = ConstructorParameters<typeof IngestDoor>[0];

let told: string[];
let own: boolean[];
let drained: () => void;
let door: IngestDoor;
let status: object;

/** `limit`: messages longer than this are not sent. */
function peer(limit = 1000): UnixPeer & { said: object[] } {
  const said: object[] = [];
  const send = (m: unknown) => JSON.stringify(m).length <= limit && said.push(m as object) > 0;
  return { said, send, onMessage: () => {}, onClose: () => {}, close: () => {} };
}

beforeEach(() => {
  told = [];
  own = [];
  status = { grade: 'full', vips: ['v'.repeat(900)], peers: [] };
  const speaker = {
    drain: (reason: string) => void told.push(`drain: ${reason}`),
    undrain: () => void told.push('undrain'),
    drained: (reason: string) => {
      told.push(`drain: ${reason}`);
      return new Promise<void>((resolve) => {
        drained = resolve;
      });
    },
    status: () => status,
  } as unknown as Door;
  door = new IngestDoor(speaker, (on) => own.push(on));
});

describe('the speaker’s door for an ingest instance', () => {
  it('drains and undrains, and tells its own supervisor', () => {
    const p = peer();
    door.heard(p, { kind: 'ingest', draining: false });
    door.heard(p, { kind: 'drain', reason: 'maintenance' });
    door.heard(p, { kind: 'undrain' });
    expect(told).toEqual(['drain: maintenance', 'undrain']);
    expect(own).toEqual([true, false]);
  });

  it('a drain that an instance asked for ends with it, one that it still wants goes on', () => {
    door.heard(peer(), { kind: 'drain', reason: 'x' });
    door.heard(peer(), { kind: 'ingest', draining: true });
    door.heard(peer(), { kind: 'ingest', draining: false });
    expect(told).toEqual(['drain: x', 'drain: drain requested', 'undrain']);
  });

  it('a drain of the speaker’s own supervisor is told to who is there and to who comes later, and stays', () => {
    const early = peer();
    door.heard(early, { kind: 'ingest', draining: false });
    door.changed(true);
    const late = peer();
    door.heard(late, { kind: 'ingest', draining: false });
    expect(early.said).toEqual([{ kind: 'draining', on: true }]);
    expect(late.said).toEqual([{ kind: 'draining', on: true }]);
    expect(told).toEqual([]);
    door.closed(early);
    door.changed(false);
    expect(early.said).toHaveLength(1);
    expect(late.said.at(-1)).toEqual({ kind: 'draining', on: false });
  });

  it('one that leaves is told when nothing comes any more', async () => {
    const p = peer();
    door.heard(p, { kind: 'leave', reason: 'SIGTERM received' });
    expect([told, p.said]).toEqual([['drain: stopping: SIGTERM received'], []]);
    drained();
    await Promise.resolve();
    await Promise.resolve();
    expect(p.said).toEqual([{ kind: 'left' }]);
    door.heard(peer(), { kind: 'ingest', draining: false });
    expect(told.at(-1)).toBe('undrain');
  });

  it('answers with the status; what is longer than a message may be is left out by name', () => {
    const [wide, narrow] = [peer(), peer(200)];
    for (const p of [wide, narrow]) door.heard(p, { kind: 'ask', id: 7 });
    expect(wide.said).toEqual([{ kind: 'answer', id: 7, value: status }]);
    expect(narrow.said).toEqual([{ kind: 'answer', id: 7, value: { grade: 'full', left_out: ['vips', 'peers'] } }]);
  });

  it('tells decisions as they change, and the one that holds to who comes', () => {
    const decision = (code: number) => ({ code, grade: 'any', reasons: [] });
    const [early, late] = [peer(), peer()];
    door.heard(early, { kind: 'ingest', draining: false });
    door.tell(decision(503));
    door.tell(decision(200));
    door.heard(late, { kind: 'ingest', draining: false });
    expect(early.said).toEqual([503, 200].map((code) => ({ kind: 'decision', decision: decision(code) })));
    expect(late.said).toEqual([{ kind: 'decision', decision: decision(200) }]);
  });

  it.each([
    [null],
    [7],
    ['drain'],
    [[]],
    [{}],
    [{ kind: 'drain' }],
    [{ kind: 'drain', reason: 7 }],
    [{ kind: 'drain', reason: 'x'.repeat(201) }],
    [{ kind: 'leave' }],
    [{ kind: 'ingest' }],
    [{ kind: 'ingest', draining: 'yes' }],
    [{ kind: 'ask' }],
    [{ kind: 'ask', id: 1.5 }],
    [{ kind: 'reconfigure' }],
  ])('ignores %j', (m) => {
    const p = peer();
    door.heard(p, m);
    expect([told, own, p.said]).toEqual([[], [], []]);
  });
});

describe('user:', () => {
  it.each([
    ['root', { uid: 0, gid: 0 }],
    ['0', { uid: 0, gid: 0 }],
    ['54321', { uid: 54321, gid: 54321 }],
    ['54321:54322', { uid: 54321, gid: 54322 }],
    ['nobody-of-this-name', undefined],
    ['1:2:3', undefined],
  ])('%s', (text, who) => {
    expect(lookUpUser(text)).toEqual(who);
  });
});
