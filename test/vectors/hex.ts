/** Byte vectors as hex text; lines that begin with # say where they come from. */
import { readFileSync } from 'node:fs';

export function readHexVector(path: string): Buffer {
  const text = readFileSync(new URL(path, import.meta.url), 'utf8');
  const hex = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('');
  return Buffer.from(hex, 'hex');
}
