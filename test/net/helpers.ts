import { Buffer } from 'node:buffer';
import { parseIp } from '../../src/core/ip.ts';
import { loadNative, type Native, nativeProblem } from '../../src/net/native.ts';
import type { Opening } from '../../src/net/problem.ts';
import type { Datagram } from '../../src/net/types.ts';

/** Here the add-on must be there: a test without it would prove nothing. */
export function requireNative(): Native {
  const native = loadNative();
  if (!native) throw new Error(`no add-on: ${nativeProblem()}`);
  return native;
}

export function ip(text: string): Buffer {
  const bytes = parseIp(text);
  if (!bytes) throw new Error(text);
  return bytes;
}

export const ANY: Buffer = Buffer.alloc(0);

export function opened<T>(result: Opening<T>): T {
  if (!result.ok) throw new Error(result.problem.text);
  return result.value;
}

/** Waits until `ready`, against a hang only: the ceiling is far above what is needed. */
export async function until(ready: () => boolean, what = 'the condition', ceilingMs = 20_000): Promise<void> {
  const end = Date.now() + ceilingMs;
  while (!ready()) {
    if (Date.now() > end) throw new Error(`not reached: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface Kept {
  data: string;
  source: string;
  sourcePort: number;
  destination: string;
  sec: number;
  nsec: number;
}

/** Copies what a handler may not keep. */
export function keep(into: Kept[]): (batch: Datagram[], count: number) => void {
  return (batch, count) => {
    for (let i = 0; i < count; i++) {
      const d = batch[i];
      into.push({
        data: d.data.toString('latin1'),
        source: d.source.toString('hex'),
        sourcePort: d.sourcePort,
        destination: d.destination.toString('hex'),
        sec: d.sec,
        nsec: d.nsec,
      });
    }
  };
}
