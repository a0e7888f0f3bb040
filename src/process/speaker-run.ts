/**
 * Whether an earlier speaker of this data_dir died. Of use only where the speaker is an instance of its own (`--role speaker`): the workers live
 * in another one and may have lived on. After a restart of the machine nothing did.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';

/** There while the instance runs; removed at an ordered end. Holds the kernel's name of this boot. Relative to data_dir. */
const FILE = 'speaker-runs';
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Called once at the start; true where one ran before in this boot and came to no ordered end. */
export function beginRun(boot = read(BOOT_ID)): boolean {
  const before = read(FILE);
  writeFileSync(FILE, boot ?? '');
  return boot !== undefined && before === boot;
}

export function endRun(): void {
  rmSync(FILE, { force: true });
}
