/** `workers: auto`: as many as there are cores to spare and memory for. Pure. */

const MIB = 1024 * 1024;
/** Supervisor and speaker. */
const BASE_BYTES = 200 * MIB;
/** One worker with its export thread, measured idle 135 MiB, and its share of what a burst holds. */
const WORKER_BYTES = 160 * MIB;

export interface AutoWorkers {
  workers: number;
  /** Why there are fewer than the cores would allow. */
  note?: string;
}

/** `limit`: bytes this process and its children may have together (a control group's limit); 0, or more than any machine has: none. */
export function autoWorkers(cores: number, limit: number): AutoWorkers {
  const wanted = Math.max(1, cores - 1);
  if (limit <= 0 || limit > Number.MAX_SAFE_INTEGER) return { workers: wanted };
  const room = Math.max(1, Math.floor((limit - BASE_BYTES) / WORKER_BYTES));
  if (room >= wanted) return { workers: wanted };
  const mib = Math.floor(limit / MIB);
  return {
    workers: room,
    note: `workers: auto is ${room}, not ${wanted}: the memory limit of ${mib} MiB has room for so many (200 MiB, and 160 MiB a worker)`,
  };
}
