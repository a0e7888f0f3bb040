/** Random and mutated bytes for decoders, from a seed, so that a failure can be repeated. */
import { Buffer } from 'node:buffer';

export const FUZZ_ROUNDS = Number(process.env.TIDEGATE_FUZZ_ROUNDS ?? 20_000);

/** Numbers in [0, 1) from a seed (a linear congruential generator). */
export function seeded(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

/** A copy with one to four changes: octets replaced, bits turned, parts copied over others, and now and then cut or made longer. */
export function mutate(bytes: Buffer, random: () => number): Buffer {
  let b = Buffer.from(bytes);
  const pick = (n: number) => Math.floor(random() * n);
  const cut = pick(8);
  if (cut === 0) b = b.subarray(0, pick(b.length + 1));
  else if (cut === 1) b = Buffer.concat([b, Buffer.alloc(1 + pick(40), pick(256))]);
  if (b.length === 0) return b;
  for (let i = 1 + pick(4); i > 0; i--) {
    const at = pick(b.length);
    const how = pick(4);
    if (how === 0) b[at] = pick(256);
    else if (how === 1) b[at] ^= 1 << pick(8);
    else if (how === 2) b[at] = [0, 1, 0x7f, 0x80, 0xff][pick(5)];
    else b.copyWithin(at, pick(b.length), pick(b.length));
  }
  return b;
}
