/** One instance a data_dir. The lock file names its holder by pid and start time, so that a reused pid is not taken for it. */
import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';

export interface Holder {
  pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot; '' where there is no /proc. */
  started: string;
}

/** When a process began, in the kernel's own count; undefined where there is no such process (a zombie counts as gone). */
export function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    try {
      process.kill(pid, 0);
      return '';
    } catch {
      return undefined;
    }
  }
}

/** Takes the lock, or returns the live holder. A lock whose holder is gone is taken over. */
export function takeLock(file: string): { held: Holder } | { release: () => void } {
  for (let attempt = 0; ; attempt++) {
    try {
      // It appears with its content: an empty lock would be taken for a stale one.
      const own = `${file}.${process.pid}`;
      writeFileSync(own, JSON.stringify({ pid: process.pid, started: startTime(process.pid) ?? '' }), { mode: 0o644 });
      try {
        linkSync(own, file);
      } finally {
        unlinkSync(own);
      }
      return {
        release: () => {
          try {
            unlinkSync(file);
          } catch {
            // Somebody removed data_dir; there is nothing left to release.
          }
        },
      };
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 3) throw e;
      const holder = readHolder(file);
      if (holder && startTime(holder.pid) === holder.started && holder.pid !== process.pid) return { held: holder };
      try {
        unlinkSync(file);
      } catch {
        // Another starter removed the stale lock first: try again.
      }
    }
  }
}

function readHolder(file: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as Holder;
    return typeof holder.pid === 'number' ? holder : undefined;
  } catch {
    return undefined;
  }
}
