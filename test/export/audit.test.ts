import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventClass } from '../../src/event/types.ts';
import { Audit, type AuditedRecord, formatAudit } from '../../src/export/audit.ts';
import { ManifestBuilder } from '../../src/spool/manifest.ts';

const BOOT = 1_700_000_000_000_000;

function event(cls: EventClass, seq: number, more: object = {}, worker = 0, type = 'snmp.trap.v1'): AuditedRecord {
  const { at = 't', boot = BOOT } = more as { at?: string; boot?: number };
  const rx = { site: 's', node: 'edge-1', worker, boot: type === 'system.v1' ? BOOT : boot, class: cls, seq, at };
  return { type, value: Buffer.from(JSON.stringify({ rx, seq, ...more })) };
}

/** `n` events of a class, and the manifest a worker would say of them. */
function covered(cls: EventClass, first: number, n: number, systemSeq: number): AuditedRecord[] {
  const builder = new ManifestBuilder(BOOT, cls);
  const events: AuditedRecord[] = [];
  for (let i = 0; i < n; i++) {
    const e = event(cls, first + i);
    builder.add(first + i, crc32(e.value));
    events.push(e);
  }
  const manifest = builder.take()!;
  return [...events, event('system', systemSeq, { kind: 'manifest', worker: 0, ...manifest }, 0, 'system.v1')];
}

const NOW = Date.parse('2026-01-01T12:00:00Z');

function audit(records: AuditedRecord[], absent: string[] = []) {
  const a = new Audit();
  for (const r of records) a.add(r);
  return a.report({ nowMs: NOW, absent });
}

describe('audit', () => {
  it('is clean with every event there, in any order and any number of times', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.infiniteStream(fc.nat()), (n, random) => {
        const records = [...covered('alarm', 1, n, 1), ...covered('routing', 1, 10, 2)];
        const all = [...records, ...records.filter((_, i) => i % 3 === 0)];
        const keys = new Map(all.map((r) => [r, random.next().value]));
        all.sort((a, b) => keys.get(a)! - keys.get(b)!);
        const r = audit(all);
        expect(r).toMatchObject({ clean: true, findings: [], manifests: 2, open: 0 });
        expect(r.events).toBe(n + 10 + 2);
        expect(r.repeated).toBe(all.length - records.length);
        // The manifests themselves are covered by the next one.
        expect(r.uncovered).toBe(2);
      }),
      { numRuns: 30 },
    );
  });

  it('names exactly what is missing', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 60 }), (gone) => {
        const records = covered('alarm', 1, 60, 1).filter((_, i) => i === 60 || !gone.includes(i + 1));
        const r = audit(records);
        expect(r.clean).toBe(false);
        expect(r.findings).toHaveLength(1);
        const [f] = r.findings;
        expect(f).toMatchObject({ kind: 'missing', node: 'edge-1', worker: 0, class: 'alarm', count: gone.length });
        const named = f.ranges.flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i));
        expect(named).toEqual([...gone].sort((a, b) => a - b));
      }),
    );
  });

  it('sees a record that is not what was spooled', () => {
    const records = covered('alarm', 1, 20, 1);
    records[4] = event('alarm', 5, { forged: true });
    const r = audit(records);
    expect(r.findings).toMatchObject([{ kind: 'changed', class: 'alarm', ranges: [[1, 20]] }]);
    expect(formatAudit(r)).toContain('CHANGED');
  });

  it('counts what was quarantined as quarantined, and the rest as missing', () => {
    const records = covered('alarm', 1, 20, 1).filter((_, i) => i !== 3 && i !== 9);
    records.push(event('alarm', 4, { topic: 't', error: 'MESSAGE_TOO_LARGE' }, 0, 'dlq.v1'));
    const r = audit(records);
    expect(r.quarantined).toBe(1);
    expect(r.findings).toMatchObject([{ kind: 'missing', ranges: [[10, 10]], count: 1 }]);
    records.push(event('alarm', 10, { topic: 't', error: 'MESSAGE_TOO_LARGE' }, 0, 'dlq.v1'));
    expect(audit(records)).toMatchObject({ clean: true, quarantined: 2 });
  });

  it('tells what no manifest speaks of, and what is not ours', () => {
    const records = [...covered('alarm', 1, 5, 1), event('alarm', 6), event('alarm', 9)];
    records.push({ type: '', value: Buffer.from('not json') }, { type: 'x', value: Buffer.from('{"rx":{}}') });
    expect(audit(records)).toMatchObject({ clean: true, uncovered: 3, open: 2, foreign: 2 });
    expect(formatAudit(audit(records))).toContain('clean');
  });

  it('without a manifest there is nothing to judge: not clean, and it says so', () => {
    for (const records of [[], [event('alarm', 1), event('alarm', 2)]]) {
      const r = audit(records);
      expect(r).toMatchObject({ clean: false, manifests: 0, findings: [] });
      expect(formatAudit(r)).toMatch(/nothing to judge: no manifest.*\nnot clean$/);
    }
  });

  it('a gap that no manifest speaks of is open for two minutes, and then a finding', () => {
    const gap = (at: string) => audit([...covered('alarm', 1, 5, 1), event('alarm', 9, { at })]);
    expect(gap('2026-01-01T11:58:30Z')).toMatchObject({ clean: true, open: 3, findings: [] });
    const late = gap('2026-01-01T11:57:30.123456789Z');
    expect(late).toMatchObject({ clean: false, open: 0, findings: [{ kind: 'gap', ranges: [[6, 8]], count: 3 }] });
    expect(formatAudit(late)).toMatch(/GAP of 3 events: node edge-1, worker 0, .*class alarm, seq 6-8/);
    // The manifest that speaks of them makes them missing, and quarantine accounts for them.
    const known = [event('alarm', 7, {}, 0, 'dlq.v1'), event('alarm', 9, { at: '2026-01-01T11:00:00Z' })];
    expect(audit([...covered('alarm', 1, 5, 1), ...known]).findings).toMatchObject([
      {
        kind: 'gap',
        ranges: [
          [6, 6],
          [8, 8],
        ],
      },
    ]);
  });

  it('a gap of a boot that has ended is a finding at once', () => {
    const recent = { at: '2026-01-01T11:59:59Z' };
    const records = [...covered('alarm', 1, 5, 1), event('alarm', 9, recent)];
    expect(audit([...records, event('alarm', 1, { ...recent, boot: BOOT + 1 }, 1)])).toMatchObject({
      clean: true,
      open: 3,
    });
    const after = audit([...records, event('alarm', 1, { ...recent, boot: BOOT + 1 })]);
    expect(after).toMatchObject({ clean: false, open: 0, findings: [{ kind: 'gap', boot: BOOT, count: 3 }] });
  });

  it('names topics that do not exist; that alone is no loss', () => {
    const r = audit(covered('alarm', 1, 5, 1), ['tidegate.bmp.update.v1']);
    expect(r).toMatchObject({ clean: true, absent: ['tidegate.bmp.update.v1'] });
    expect(formatAudit(r)).toContain('topics that do not exist: tidegate.bmp.update.v1');
  });
});
