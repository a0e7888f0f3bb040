/** What tidegate's processes may, started as root; and that an ordered end leaves nothing in a socket's queue. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { labAvailable, labBin } from './peers.ts';
import { freePort, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const running: Tidegate[] = [];
afterEach(async () => {
  for (const t of running.splice(0)) await t.close();
});

/** linux/capability.h */
const NAMES: Record<number, string> = {
  0: 'CHOWN',
  1: 'DAC_OVERRIDE',
  3: 'FOWNER',
  5: 'KILL',
  6: 'SETGID',
  7: 'SETUID',
  8: 'SETPCAP',
  10: 'NET_BIND_SERVICE',
  12: 'NET_ADMIN',
  13: 'NET_RAW',
  23: 'SYS_NICE',
};

function status(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n');
  return Object.fromEntries(lines.filter((l) => l.includes(':')).map((l) => l.split(/:\s*/, 2)));
}

function capabilities(pid: number, which: 'CapEff' | 'CapPrm' | 'CapBnd'): string[] {
  const mask = BigInt(`0x${status(pid)[which]}`);
  const out: string[] = [];
  for (let i = 0; i < 64; i++) if ((mask >> BigInt(i)) & 1n) out.push(NAMES[i] ?? String(i));
  return out;
}

function childrenOf(pid: number): Map<string, number> {
  const out = new Map<string, number>();
  for (const name of readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
    try {
      if (status(Number(name)).PPid !== String(pid)) continue;
      const what = /(worker|speaker)-main/.exec(readFileSync(`/proc/${name}/cmdline`, 'utf8'));
      if (what) out.set(what[1], Number(name));
    } catch {
      // Ended meanwhile.
    }
  }
  return out;
}

describe.skipIf(!labAvailable() || process.getuid?.() !== 0)('processes that were started as root', () => {
  it('keep what they need: the supervisor a few capabilities, the speaker those of its sockets, a worker none', async () => {
    const t = await Tidegate.start({
      config: {
        workers: 1,
        collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
        lb: { vips: [{ name: 'v', addresses: ['127.77.7.7/32'] }] },
      },
    });
    running.push(t);
    const children = childrenOf(t.pid);
    expect([...children.keys()].sort()).toEqual(['speaker', 'worker']);
    const speaker = children.get('speaker')!;
    await waitFor(() => capabilities(speaker, 'CapEff').length < 10, 'the speaker has given up the rest');
    for (const which of ['CapEff', 'CapPrm', 'CapBnd'] as const) {
      expect(capabilities(speaker, which)).toEqual(['NET_BIND_SERVICE', 'NET_ADMIN', 'NET_RAW']);
      expect(capabilities(t.pid, which)).toEqual(Object.values(NAMES));
    }
    for (const which of ['CapEff', 'CapPrm'] as const) expect(capabilities(children.get('worker')!, which)).toEqual([]);
    expect(status(children.get('worker')!).Uid.split(/\s+/)[0]).not.toBe('0');
    // Field 41 of proc_pid_stat(5): SCHED_RR is 2. What this machine allows is what the status says.
    const { lb } = await t.status<{ lb: { priority: string } }>();
    const stat = readFileSync(`/proc/${speaker}/stat`, 'utf8').split(') ')[1].split(' ');
    expect([stat[38], lb.priority]).toEqual(stat[38] === '2' ? ['2', 'realtime'] : ['0', 'nice']);
    // The address went onto the interface before, and goes away after, the rest was given up.
    expect(execFileSync(labBin('ip'), ['address', 'show', 'dev', 'lo'], { encoding: 'utf8' })).toContain(
      '127.77.7.7/32',
    );
    expect(await t.sigterm()).toMatchObject({ code: 0 });
    expect(execFileSync(labBin('ip'), ['address', 'show', 'dev', 'lo'], { encoding: 'utf8' })).not.toContain(
      '127.77.7.7',
    );
  });

  it.each([true, false])('an ordered end reads what the kernel holds (add-on: %s)', async (native) => {
    const t = await Tidegate.start({
      env: native ? undefined : { ...process.env, TIDEGATE_NO_NATIVE: '1' },
      config: {
        workers: 1,
        admin: { listen: `127.0.0.1:${await freePort()}` },
        lb: { lease: { interval: '10s', timeout: '60s' }, drain: { linger: '0s' } },
        collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
      },
    });
    running.push(t);
    const port = (t.ready!.listening as { address: string }[])[0].address;
    const worker = childrenOf(t.pid).get('worker')!;
    process.kill(worker, 'SIGSTOP');
    // Few enough that a worker stopped meanwhile is not taken for a dead one on a busy machine.
    const sent = 100;
    for (let i = 0; i < sent; i++)
      execFileSync(labBin('snmptrap'), ['-v2c', '-c', 'public', port, String(i), '1.3.6.1.6.3.1.1.5.3']);
    const ended = t.sigterm();
    process.kill(worker, 'SIGCONT');
    expect(await ended).toMatchObject({ code: 0 });
    expect((await t.cli(['spool', 'verify', '-o', 'json'])).stdout).toMatch(/"damaged":0/);
    const events = t.events.filter((e) => e.type === 'snmp.trap.v1');
    expect(new Set(events.map((e) => e.data.uptime_ticks)).size).toBe(sent);
    expect(events).toHaveLength(sent);
  });
});
