const DURATION: Record<string, number> = { us: 0.001, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE: Record<string, number> = {
  '': 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Milliseconds of `5s`, `200ms`, `1h30m`; undefined where it is no duration. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(\d+(\.\d+)?(us|ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const m of text.matchAll(/(\d+(?:\.\d+)?)(us|ms|s|m|h|d)/g)) total += Number(m[1]) * DURATION[m[2]];
  return total;
}

/** Bytes of `64MiB`, `1GB`, `4096`; undefined where it is no size. */
export function parseSize(text: string): number | undefined {
  const m = /^(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB|)$/.exec(text);
  return m ? Math.floor(Number(m[1]) * SIZE[m[2]]) : undefined;
}

/** A size for people: `12.3 MiB`. */
export function formatSize(bytes: number): string {
  for (const [unit, n] of [
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const)
    if (bytes >= n) return `${(bytes / n).toFixed(1)} ${unit}`;
  return `${bytes} B`;
}

/** A duration for people: `3d 4h`, `2m 5s`, `120ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  const parts: string[] = [];
  let rest = Math.floor(ms / 1000);
  for (const [unit, n] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    if (rest >= n) parts.push(`${Math.floor(rest / n)}${unit}`);
    rest %= n;
  }
  return parts.slice(0, 2).join(' ');
}
