/**
 * A sender of traps at a steady rate, as a process of its own: `node send-traps.ts PORT RATE COUNT [SOURCES] [v2c|v3]`. Sources are
 * addresses 127.0.1.x; of v2c the last varbind is the number of the trap. Prints `{sent, seconds}` when done. It sends with the add-on:
 * node:dgram alone would be the limit. v3 is authPriv (SHA-256, AES-256) with an engine a source; some messages of each are sealed before
 * the first is sent, so that the sender's cryptography is not on the way.
 */
import { Buffer } from 'node:buffer';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import { SNMP_TRAP_OID, SYS_UP_TIME } from '../../src/codec/snmp/rfc3584.ts';
import { encodeScopedPdu } from '../../src/codec/snmp/v3-encode.ts';
import { loadNative, nativeProblem } from '../../src/net/native.ts';
import { localize, localizePriv, localKeys, masterKey } from '../../src/protocol/usm/keys.ts';
import { seal } from '../../src/protocol/usm/seal.ts';
import { engineId, V3_USER } from './v3-user.ts';

const [port, rate, count, given] = process.argv.slice(2, 6).map(Number);
const sources = given || 16;
const version = process.argv[6] ?? 'v2c';
const MARK = 0x71717171;
const TRAP_OID = '1.3.6.1.6.3.1.1.5.3';
const UPTIME = 123_456;
const varbinds = (mark: number) =>
  [
    { oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: 7 },
    { oid: '1.3.6.1.2.1.2.2.1.7.7', type: 'integer32', value: 1 },
    { oid: '1.3.6.1.2.1.2.2.1.8.7', type: 'integer32', value: 2 },
    { oid: '1.3.6.1.2.1.31.1.1.1.18.7', type: 'octet-string', value: 'uplink to core, rack 17' },
    { oid: '1.3.6.1.4.1.99999.1.1', type: 'unsigned32', value: mark },
  ] as const;

const packet = buildTrap({
  version: 'v2c',
  community: 'public',
  trapOid: TRAP_OID,
  uptime: UPTIME,
  varbinds: [...varbinds(MARK)],
});
const at = packet.indexOf(Buffer.from([0x71, 0x71, 0x71, 0x71]));

/** Messages of one source, sealed now: a receiver holds their time against that of the last. */
const SEALED = 64;
function sealed(source: number): Buffer[] {
  const { name, auth, authPassphrase, priv, privPassphrase } = V3_USER;
  const engine = engineId(source);
  const authKey = localize(auth, masterKey(auth, authPassphrase), engine);
  const privKey = localizePriv(auth, priv, masterKey(auth, privPassphrase), engine);
  const keys = localKeys(auth, authKey, priv, privKey);
  const time = Math.floor(performance.timeOrigin / 1000) % 1_000_000_000;
  return Array.from({ length: SEALED }, (_, i) => {
    const salt = Buffer.alloc(8);
    salt.writeUInt32BE(source, 0);
    salt.writeUInt32BE(i + 1, 4);
    return seal({
      ...{ msgId: i + 1, maxSize: 65_507, level: 'authPriv', engineId: engine, boots: 1, time, keys, salt },
      userName: Buffer.from(name),
      scopedPdu: encodeScopedPdu(engine, Buffer.alloc(0), {
        pdu: 'trap',
        requestId: i + 1,
        varbinds: [
          { oid: SYS_UP_TIME, type: 'timeticks', value: UPTIME },
          { oid: SNMP_TRAP_OID, type: 'oid', value: TRAP_OID },
          ...varbinds(0x40000000 + i),
        ],
      }),
    });
  });
}
const pools = version === 'v3' ? Array.from({ length: sources }, (_, i) => sealed(i)) : undefined;

/** A timer that came late is not made good in one burst: a receiver with a small buffer would pay for this machine's load. */
const MOST_A_TICK = 100;
const NONE = Buffer.alloc(0);
const TO = Buffer.from([127, 0, 0, 1]);

const native = loadNative();
if (!native) throw new Error(nativeProblem());
const fds = Array.from(
  { length: sources },
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
    const source = sent % sources;
    let message = packet;
    if (pools) message = pools[source][Math.floor(sent / sources) % SEALED];
    else packet.writeUInt32BE(0x40000000 + sent, at);
    native!.sendFrom(fds[source], message, TO, port, NONE, 0);
    sent++;
  }
  if (sent < count) setTimeout(tick, 1);
  else console.log(JSON.stringify({ sent, seconds: (performance.now() - started) / 1000 }));
}
tick();
