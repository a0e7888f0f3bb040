/** What comes over the lease channel is of another process: its shape is not taken for granted. */
import type { Renewal } from '../lb/lease.ts';

export function asRenewal(m: unknown): Renewal | undefined {
  if (typeof m !== 'object' || m === null) return undefined;
  const { worker, of, counter, hard, soft, vips, sessions, retried } = m as Record<string, unknown>;
  if (!Number.isInteger(worker) || !Number.isInteger(of) || !Number.isFinite(counter)) return undefined;
  if (!isTexts(hard) || !isTexts(soft) || typeof vips !== 'object' || vips === null) return undefined;
  for (const at of Object.values(vips)) if (typeof at !== 'number') return undefined;
  return {
    worker: worker as number,
    of: of as number,
    counter: counter as number,
    hard,
    soft,
    vips: vips as Record<string, number>,
    sessions: Number.isInteger(sessions) ? (sessions as number) : 0,
    retried: Number.isInteger(retried) ? (retried as number) : 0,
  };
}

export function asListening(
  m: unknown,
): { worker: number; listens: string[]; failed: Record<string, string> } | undefined {
  if (typeof m !== 'object' || m === null) return undefined;
  const { kind, worker, listens, failed } = m as Record<string, unknown>;
  if (kind !== 'listening' || !Number.isInteger(worker) || !isTexts(listens)) return undefined;
  if (typeof failed !== 'object' || failed === null || !isTexts(Object.values(failed))) return undefined;
  return { worker: worker as number, listens, failed: failed as Record<string, string> };
}

function isTexts(x: unknown): x is string[] {
  return Array.isArray(x) && x.every((t) => typeof t === 'string');
}
