/**
 * A sender of v2c traps at a steady rate, as a process of its own: `node send-traps.ts PORT RATE COUNT [SOURCES]`. Sources are addresses
 * 127.0.1.x; the last varbind is the number of the trap. Prints `{sent, seconds}` when done. It sends with the add-on: node:dgram alone
 * would be the limit.
 */
import { Buffer } from 'node:buffer';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import { loadNative, nativeProblem } from '../../src/net/native.ts';

const [port, rate, count, sources] = process.argv.slice(2).map(Number);
const MARK = 0x71717171;
const packet = buildTrap({
  version: 'v2c',
  community: 'public',
  trapOid: '1.3.6.1.6.3.1.1.5.3',
  uptime: 123_456,
  varbinds: [
    { oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: 7 },
    { oid: '1.3.6.1.2.1.2.2.1.7.7', type: 'integer32', value: 1 },
    { oid: '1.3.6.1.2.1.2.2.1.8.7', type: 'integer32', value: 2 },
    { oid: '1.3.6.1.2.1.31.1.1.1.18.7', type: 'octet-string', value: 'uplink to core, rack 17' },
    { oid: '1.3.6.1.4.1.99999.1.1', type: 'unsigned32', value: MARK },
  ],
});
const at = packet.indexOf(Buffer.from([0x71, 0x71, 0x71, 0x71]));
/** A timer that came late is not made good in one burst: a receiver with a small buffer would pay for this machine's load. */
const MOST_A_TICK = 100;
const NONE = Buffer.alloc(0);
const TO = Buffer.from([127, 0, 0, 1]);

const native = loadNative();
if (!native) throw new Error(nativeProblem());
const fds = Array.from(
  { length: sources || 16 },
  (_, i) => native.openUdp({ address: Buffer.from([127, 0, 1, i + 1]), port: 0, receiveBuffer: 4096 }).fd,
);

const started = performance.now();
let sent = 0;
let owed = 0;
let last = started;
function tick(): void {
  const now = performance.now();
  owed = Math.min(owed + ((now - last) / 1000) * rate, Math.max(MOST_A_TICK, rate / 200));
  last = now;
  for (; owed >= 1 && sent < count; owed--) {
    packet.writeUInt32BE(0x40000000 + sent, at);
    native!.sendFrom(fds[sent % fds.length], packet, TO, port, NONE, 0);
    sent++;
  }
  if (sent < count) setTimeout(tick, 1);
  else console.log(JSON.stringify({ sent, seconds: (performance.now() - started) / 1000 }));
}
tick();
