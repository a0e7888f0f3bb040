import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../src/core/log.ts';
import { fileConfig } from '../../../src/export/file/config.ts';
import { FileExporter } from '../../../src/export/file/exporter.ts';
import { RotatingFile } from '../../../src/export/file/rotating.ts';
import { dataOf, SAMPLES } from '../../event/projections/samples.ts';
import { fastClock } from '../fake-kafka.ts';
import { memoryShard } from '../memory-log.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'export-file-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const files = () => readdirSync(dir).sort();
const text = (name: string) => readFileSync(join(dir, name), 'utf8');

describe('a file that rotates', () => {
  it('by size: whole pieces, the newest without a number, so many kept', () => {
    const f = new RotatingFile(join(dir, 'e.jsonl'), { size: 10, age: 1e9, keep: 2 });
    for (const piece of ['a\nb\n', 'c\nd\n', 'e\nf\n', 'g\nh\n', 'long line of its own\n', 'z\n']) f.write(piece, 0);
    f.close();
    expect(files()).toEqual(['e.1.jsonl', 'e.2.jsonl', 'e.jsonl']);
    expect([text('e.jsonl'), text('e.1.jsonl'), text('e.2.jsonl')]).toEqual([
      'z\n',
      'long line of its own\n',
      'e\nf\ng\nh\n',
    ]);
    expect(f.rotated).toBe(3);
  });

  it('by age, counted from the first line; and goes on in a file that is there', () => {
    writeFileSync(join(dir, 'e.jsonl'), 'before\n');
    const at = statSync(join(dir, 'e.jsonl')).mtimeMs;
    const f = new RotatingFile(join(dir, 'e.jsonl'), { size: 1000, age: 1000, keep: 3 });
    f.write('a\n', at + 100);
    f.write('b\n', at + 100_000);
    f.write('c\n', at + 100_500);
    f.close();
    expect([text('e.1.jsonl'), text('e.jsonl')]).toEqual(['before\na\n', 'b\nc\n']);
  });

  it('keeps none where none are wanted', () => {
    const f = new RotatingFile(join(dir, 'e.jsonl'), { size: 2, age: 1e9, keep: 0 });
    f.write('a\n', 0);
    f.write('b\n', 0);
    f.close();
    expect(files()).toEqual(['e.jsonl']);
    expect(text('e.jsonl')).toBe('b\n');
  });
});

describe('file exporter', () => {
  const exporter = (config: object): FileExporter =>
    new FileExporter({
      name: 'archive',
      config: fileConfig.parse(config),
      node: 'edge-1',
      worker: 1,
      clock: fastClock(20),
      log: silentLog,
    });

  async function run(x: FileExporter, count = 3): Promise<void> {
    const shard = memoryShard();
    const work = x.open(shard);
    shard.logs.system.append('system.v1', 'k', 's', '{"kind":"gap"}');
    for (let i = 0; i < count; i++)
      shard.logs.alarm.append('snmp.trap.v1', 'k', `id${i}`, JSON.stringify(dataOf(SAMPLES['link-down'])));
    work.durable('alarm', shard.logs.alarm.end, count);
    work.durable('system', shard.logs.system.end, 1);
    for (let i = 0; i < 1000 && !work.drained(); i++) await new Promise((resolve) => setImmediate(resolve));
    expect(work.drained()).toBe(true);
    await x.close();
  }

  it('writes one line an event, a file a worker', async () => {
    const x = exporter({ path: join(dir, 'out', 'events.jsonl') });
    await run(x);
    const lines = text('out/events-1.jsonl').trimEnd().split('\n');
    expect(lines.map((l) => JSON.parse(l).type).sort()).toEqual([
      'snmp.trap.v1',
      'snmp.trap.v1',
      'snmp.trap.v1',
      'system.v1',
    ]);
    expect(x.progress()).toMatchObject({ type: 'file', acked: 4, skipped: 0, up: true });
  });

  it('another format holds notifications alone', async () => {
    const x = exporter({ path: join(dir, 'traps.log'), format: 'onap' });
    await run(x, 2);
    expect(
      text('traps-1.log')
        .trimEnd()
        .split('\n')
        .map((l) => JSON.parse(l)['notify OID']),
    ).toEqual(['.1.3.6.1.6.3.1.1.5.3', '.1.3.6.1.6.3.1.1.5.3']);
    expect(x.progress().acked).toBe(2);
  });

  it('what cannot be written is counted, told, and held by nobody', async () => {
    writeFileSync(join(dir, 'file'), '');
    const x = exporter({ path: join(dir, 'file', 'x.jsonl') });
    await run(x);
    expect(x.progress()).toMatchObject({ acked: 0, skipped: 4, up: false });
    expect(x.progress().problems[0].problem).toContain('cannot be written');
  });
});
