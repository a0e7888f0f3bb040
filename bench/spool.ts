/**
 * The spool beside its floor: the same records, once through Spool.append with its group commit, once as plain sequential
 * write + fdatasync of the same bytes in batches of the same size. Prints records/s, the 50th and 99th percentile of the time from
 * append to the report of durability, and what one append costs. Rates are ratios to the floor: a bare number says little about
 * another disk.
 *
 *   node bench/spool.ts [records]
 */
import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { systemClock } from '../src/core/clock.ts';
import { realFs, writeAll } from '../src/spool/fs.ts';
import { RECORD_HEAD } from '../src/spool/segment.ts';
import { Spool } from '../src/spool/spool.ts';

const RECORDS = Number(process.argv[2] ?? 400_000);
const SIZE = 400;
/** What one socket read brings at full load. */
const BURST = 64;
const LENGTH = RECORD_HEAD + SIZE;

const payload = Buffer.alloc(SIZE, 'x');
const dir = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'tidegate-bench-'));

function percentile(sorted: Float64Array, p: number): string {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))].toFixed(2);
}

function openSpool(name: string, commitIntervalMs: number): Promise<Spool> {
  return Spool.open({
    dir: join(dir, name),
    quarantineDir: join(dir, 'quarantine'),
    worker: 0,
    site: 'bench',
    node: 'bench',
    clock: systemClock,
    boot: systemClock.wallMicros(),
    limits: { maxBytes: 64 * 2 ** 30, retain: 0, shards: 1, durable: true },
    commitIntervalMs,
  });
}

/** Bursts at `rate` records/s, or as fast as a bounded queue allows; returns seconds, syncs and the latencies. */
async function through(commitIntervalMs: number, records: number, rate = Number.POSITIVE_INFINITY) {
  const spool = await openSpool(`spool-${commitIntervalMs}-${rate}`, commitIntervalMs);
  const began = new Float64Array(records + 1);
  const latency = new Float64Array(records);
  let done = 0;
  let syncs = 0;
  spool.onSynced = (_cls, seq) => {
    syncs++;
    const now = performance.now();
    while (done < seq) latency[done++] = now - began[done];
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let sent = 0; sent < records; ) {
    for (let i = 0; i < BURST && sent < records; i++) {
      began[++sent] = performance.now();
      spool.append('alarm', 1_700_000_000, 5, payload);
    }
    // One turn of the loop per burst, as with a socket; a bounded queue, as the pipeline keeps it.
    do await new Promise(setImmediate);
    while (spool.unsyncedBytes > 4 * 2 ** 20 || (performance.now() - start) * rate < sent * 1000);
  }
  await spool.flush();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  await spool.close();
  return { seconds, syncs, cpu: (user + system) / records, latency: latency.sort() };
}

/** The floor: the same bytes, `batch` records a write, each followed by fdatasync. */
async function floor(batch: number) {
  const bytes = Buffer.alloc(batch * LENGTH, 'x');
  const fd = await realFs.create(join(dir, `floor-${batch}`));
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let at = 0; at < RECORDS; at += batch) {
    await writeAll(realFs, fd, bytes, Math.min(batch, RECORDS - at) * LENGTH, at * LENGTH);
    await realFs.fdatasync(fd);
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  await realFs.close(fd);
  return { seconds, cpu: (user + system) / RECORDS };
}

/** Append alone, beside the copy and the CRC it cannot do without; ns a record. */
async function appendCost() {
  const rounds = 20;
  const each = 5000;
  const target = Buffer.alloc(each * LENGTH);
  const spool = await openSpool('append', 0);
  let append = Number.POSITIVE_INFINITY;
  let bare = Number.POSITIVE_INFINITY;
  for (let r = 0; r < rounds; r++) {
    let start = performance.now();
    for (let i = 0; i < each; i++) spool.append('alarm', 1_700_000_000 + i, i, payload);
    append = Math.min(append, performance.now() - start);
    await spool.flush();
    start = performance.now();
    for (let i = 0; i < each; i++) {
      target.set(payload, i * LENGTH);
      crc32(payload);
    }
    bare = Math.min(bare, performance.now() - start);
  }
  await spool.close();
  return { append: (append * 1e6) / each, bare: (bare * 1e6) / each };
}

try {
  const cost = await appendCost();
  console.log(
    `append, ${SIZE} bytes: ${cost.append.toFixed(0)} ns; the copy and the CRC alone ${cost.bare.toFixed(0)} ns; beyond them ${(cost.append - cost.bare).toFixed(0)} ns`,
  );
  for (const interval of [0, 2]) {
    const s = await through(interval, RECORDS);
    const rate = RECORDS / s.seconds;
    const batch = Math.max(1, Math.round(RECORDS / s.syncs));
    const half = await through(interval, RECORDS / 4, rate / 2);
    const f = await floor(batch);
    console.log(
      `rounds at least ${interval} ms apart: ${Math.round(rate)} records/s, ${batch} a sync, CPU ${s.cpu.toFixed(2)} us a record`,
    );
    console.log(
      `  at half of it: durable after p50 ${percentile(half.latency, 0.5)} ms, p99 ${percentile(half.latency, 0.99)} ms`,
    );
    console.log(
      `  floor, the same batches written bare: ${Math.round(RECORDS / f.seconds)} records/s, CPU ${f.cpu.toFixed(2)} us; the spool reaches ${((100 * f.seconds) / s.seconds).toFixed(0)} % of it`,
    );
  }
} finally {
  rmSync(dir, { recursive: true });
}
