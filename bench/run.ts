/** `npm run bench -- trap|usm|bmp|gnmi|spool|vip|decode`: figures and ratios. Nothing here is a test. */
import { spawnSync } from 'node:child_process';

const BENCHES: Record<string, string[]> = {
  trap: ['trap.ts'],
  usm: ['usm.ts'],
  bmp: ['decode-bmp.ts', 'bmp-kafka.ts'],
  gnmi: ['decode-gnmi.ts'],
  spool: ['spool.ts'],
  vip: ['vip.ts'],
  decode: ['decode-snmp.ts', 'mib.ts', 'decode-bmp.ts', 'decode-gnmi.ts'],
};

const name = process.argv[2];
if (name === undefined || !BENCHES[name]) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')}`);
  process.exit(64);
}
for (const file of BENCHES[name]) {
  console.log(`# ${file}`);
  const r = spawnSync(process.execPath, [new URL(file, import.meta.url).pathname, ...process.argv.slice(3)], {
    stdio: 'inherit',
  });
  if (r.status !== 0) process.exit(r.status ?? 1);
}
