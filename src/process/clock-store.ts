/** The latest time a worker saw, in a small file of the spool: one that finds it ahead of its clock knows that the clock went back. */
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { EngineClockStore } from '../collectors/collector.ts';
import type { Logger } from '../core/log.ts';
import { realFs, writeFileDurable } from '../spool/fs.ts';

/** A file that is missing or damaged is one that says nothing. `path`: replaced as a whole, one write at a time. */
export function clockStore(path: string, log: Logger): EngineClockStore {
  let writing = false;
  return {
    load() {
      try {
        const { boots, ms } = JSON.parse(readFileSync(path, 'utf8')) as { boots: unknown; ms: unknown };
        return typeof boots === 'number' && typeof ms === 'number' ? { boots, ms } : undefined;
      } catch {
        return undefined;
      }
    },
    save(mark) {
      if (writing) return;
      writing = true;
      writeFileDurable(realFs, path, Buffer.from(JSON.stringify(mark)))
        .catch((e: Error) => log.warn({ path, error: e.message }, 'the engine clock could not be written down'))
        .finally(() => {
          writing = false;
        });
    },
  };
}
