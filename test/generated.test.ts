import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generated } from '../scripts/generate.ts';

describe('generated pages', () => {
  it.each(Object.entries(generated()))('%s is what the source says (npm run docs)', (path, content) => {
    expect(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')).toBe(content);
  });
});
