/** CPU and memory of a process and all that came from it, as the kernel counts them. */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ: fixed to 100 on every Linux architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

function stat(pid: number | string): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** `pid` and its living descendants. */
export function tree(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const s = stat(Number(name));
    if (s) parents.set(Number(name), Number(s[1]));
  }
  const out = [pid];
  for (const p of out) for (const [child, parent] of parents) if (parent === p) out.push(child);
  return out;
}

/** Seconds of CPU (user and system) the living processes of a tree have used. */
export function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const p of tree(pid)) {
    const s = stat(p);
    if (s) ticks += Number(s[11]) + Number(s[12]);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Resident bytes of a tree; what its processes share counts in each. */
export function residentBytes(pid: number): number {
  let pages = 0;
  for (const p of tree(pid)) {
    const s = stat(p);
    if (s) pages += Number(s[21]);
  }
  return pages * 4096;
}

/** Bytes of memory of a tree; what its processes share (the program itself) counts once: PSS. */
export function memoryBytes(pid: number): number {
  let kib = 0;
  for (const p of tree(pid)) {
    try {
      kib += Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${p}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // It ended meanwhile.
    }
  }
  return kib * 1024;
}

/** Seconds of CPU by thread of a tree: `pid/tid name`. */
export function threadSeconds(pid: number): Map<string, number> {
  const out = new Map<string, number>();
  for (const p of tree(pid))
    for (const tid of readdirSync(`/proc/${p}/task`)) {
      const s = stat(`${p}/task/${tid}`);
      const name = readFileSync(`/proc/${p}/task/${tid}/comm`, 'utf8').trim();
      if (s) out.set(`${p}/${tid} ${name}`, (Number(s[11]) + Number(s[12])) / TICKS_PER_SECOND);
    }
  return out;
}
