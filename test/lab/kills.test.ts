/** Parts of an instance are killed while the others live: all workers at once, and the supervisor alone. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { labAvailable, labBin } from './peers.ts';
import { marksOf, portOf, SnmpLoad } from './snmp-load.ts';
import { type PrintedEvent, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

/** On loopback, and of this test process alone. */
const VIP = `127.77.${1 + (process.pid % 250)}.${1 + (Math.floor(process.pid / 250) % 250)}`;
const CONFIG = {
  node: 'lab',
  workers: 3,
  admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
  collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
  lb: { rise: '200ms', vips: [{ name: 'v', addresses: [`${VIP}/32`] }] },
  export: { stdout: { enabled: false } },
};

interface Status {
  pid: number;
  workers: { index: number; pid: number; boot: number; restarts: number }[];
  lb: { decision: { grade: string } };
  counters: Record<string, number>;
}

/** A zombie has ended too: whoever is to reap it may be anybody. */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const bound = () =>
  execFileSync(labBin('ip'), ['address', 'show', 'dev', 'lo'], { encoding: 'utf8' }).includes(`${VIP}/`);

describe.skipIf(!labAvailable('ip'))('killed in parts', () => {
  const cleanup: (() => unknown)[] = [];
  afterEach(async () => {
    for (const f of cleanup.splice(0).reverse()) await f();
  });

  async function start(): Promise<{ t: Tidegate; load: SnmpLoad }> {
    const t = await Tidegate.start({ config: CONFIG });
    cleanup.push(() => t.close());
    const load = await SnmpLoad.open(portOf(t.ready, 'snmp_trap'), { sources: 24 });
    cleanup.push(() => load.close());
    await waitFor(async () => (await t.status<Status>()).lb.decision.grade === 'full', 'the node to be full');
    return { t, load };
  }

  it('all workers at once: supervisor and speaker stay, not a datagram is lost, the VIP is withdrawn and comes back', async () => {
    const { t, load } = await start();
    const speaker = t.children(/speaker-main/);
    let done = false;
    const running = load.run(() => done, 900, ['trap', 'trap', 'inform']);
    await waitFor(() => load.acked.size > 50, 'informs to be answered');
    const before = await t.status<Status>();
    expect(before.workers).toHaveLength(3);
    for (const { pid } of before.workers) process.kill(pid, 'SIGKILL');
    const killedAt = load.last;
    const after = await waitFor(
      async () => {
        const now = await t.status<Status>();
        const again = now.workers.filter((w) => w.boot > before.workers.find((b) => b.index === w.index)!.boot);
        return again.length === 3 && now.lb.decision.grade === 'full' && now;
      },
      'three new workers, and the node to be full',
      { every: 200 },
    );
    await sleep(300);
    done = true;
    await running;
    expect((after as Status).workers.map((w) => w.restarts)).toEqual([1, 1, 1]);
    expect((after as Status).pid).toBe(before.pid);
    expect(t.children(/speaker-main/)).toEqual(speaker);
    expect(load.last).toBeGreaterThan(killedAt);
    // An inform whose answer died with its worker is sent again by its device, so here only that its event is there.
    expect((await t.sigterm()).code).toBe(0);
    const events = await t.spooled();
    const found = marksOf(events.filter((e) => e.type === 'snmp.trap.v1'));
    expect([...load.traps.keys(), ...load.informs.keys()].filter((n) => !found.has(n))).toEqual([]);
    for (const ids of found.values()) expect(new Set(ids).size).toBe(1);
    // The node went down with them, and came back once.
    const grades = events
      .filter((e: PrintedEvent) => e.type === 'system.v1' && e.data.kind === 'grade')
      .sort((a, b) => a.time.localeCompare(b.time));
    const changes = grades.map((e) => `${e.data.from} ${e.data.to}`);
    const from = changes.indexOf('full dead');
    expect(from, changes.join(', ')).toBeGreaterThanOrEqual(0);
    expect(changes.slice(from, from + 2)).toEqual(['full dead', 'dead full']);
    expect(await t.json(['spool', 'verify'])).toMatchObject({ damaged: 0 });
  });

  it('the supervisor alone: nothing of it is left, and what was answered is there at the next start', async () => {
    const { t, load } = await start();
    expect(bound()).toBe(true);
    const children = t.children(/(worker|speaker)-main/);
    expect(children).toHaveLength(4);
    let done = false;
    const running = load.run(() => done, 900, ['inform']);
    await waitFor(() => load.acked.size > 100, 'informs to be answered');
    process.kill(t.pid, 'SIGKILL');
    await t.proc.exited;
    await waitFor(() => children.filter(lives).length === 0, 'workers and speaker to end by themselves');
    done = true;
    await running;
    expect(bound(), 'the speaker took its address back').toBe(false);
    const answered = [...load.acked];

    const again = await t.restart();
    cleanup.push(() => again.close());
    expect(existsSync(`/proc/${again.pid}`)).toBe(true);
    load.port = portOf(again.ready, 'snmp_trap');
    await load.answered(await load.send('inform', 24));
    await waitFor(bound, 'the VIP to be back');
    expect((await again.sigterm()).code).toBe(0);
    expect(bound()).toBe(false);
    const found = marksOf(await again.spooled('snmp.trap.v1'));
    expect(answered.filter((n) => !found.has(n))).toEqual([]);
    expect(await again.json(['spool', 'verify'])).toMatchObject({ damaged: 0 });
  });
});
