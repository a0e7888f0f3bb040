/**
 * A sender of v2c traps at a steady rate, as a process of its own: `node send-traps.ts PORT RATE COUNT [SOURCES]`. Sources are addresses
 * 127.0.1.x; the last varbind is the number of the trap. Prints `{sent, seconds}` when done.
 */
import { createSocket } from 'node:dgram';
import { buildTrap } from '../../src/codec/snmp/describe.ts';

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

const sockets = await Promise.all(
  Array.from({ length: sources || 16 }, async (_, i) => {
    const s = createSocket('udp4');
    await new Promise<void>((resolve) => s.bind(0, `127.0.1.${i + 1}`, resolve));
    await new Promise<void>((resolve) => s.connect(port, '127.0.0.1', resolve));
    return s;
  }),
);

const started = performance.now();
let sent = 0;
let inFlight = 0;
function tick(): void {
  const due = Math.min(count, Math.floor(((performance.now() - started) / 1000) * rate));
  while (sent < due && inFlight < 2000) {
    const b = Buffer.from(packet);
    b.writeUInt32BE(0x40000000 + sent, at);
    inFlight++;
    sockets[sent % sockets.length].send(b, () => {
      inFlight--;
    });
    sent++;
  }
  if (sent < count) setTimeout(tick, 1);
  else if (inFlight > 0) setTimeout(tick, 1);
  else {
    console.log(JSON.stringify({ sent, seconds: (performance.now() - started) / 1000 }));
    for (const s of sockets) s.close();
  }
}
tick();
