/**
 * Microseconds one SNMPv3 message costs in the receiving machine: good ones by protocol, and the bad ones of a flood.
 * Run: npm run bench -- usm
 */
import { Buffer } from 'node:buffer';
import { encodeScopedPdu } from '../src/codec/snmp/v3-encode.ts';
import { systemClock } from '../src/core/clock.ts';
import type { AuthProtocol, PrivProtocol } from '../src/protocol/usm/algorithms.ts';
import { localize, localizePriv, localKeys, masterKey } from '../src/protocol/usm/keys.ts';
import { type UsmEffect, UsmMachine } from '../src/protocol/usm/machine.ts';
import { Salts } from '../src/protocol/usm/salts.ts';
import { seal } from '../src/protocol/usm/seal.ts';

const OWN = Buffer.from('80001f880411223344', 'hex');
const SENDER = Buffer.from('80001f880499887766', 'hex');
const ROUNDS = 7;
const COUNT = 20_000;

const scopedPdu = encodeScopedPdu(SENDER, Buffer.alloc(0), {
  pdu: 'trap',
  requestId: 1,
  varbinds: [
    { oid: '1.3.6.1.2.1.1.3.0', type: 'timeticks', value: 1 },
    { oid: '1.3.6.1.6.3.1.1.4.1.0', type: 'oid', value: '1.3.6.1.6.3.1.1.5.3' },
    { oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: 7 },
    { oid: '1.3.6.1.2.1.2.2.1.7.7', type: 'integer32', value: 1 },
    { oid: '1.3.6.1.2.1.2.2.1.8.7', type: 'integer32', value: 2 },
    { oid: '1.3.6.1.2.1.2.2.1.2.7', type: 'octet-string', value: 'GigabitEthernet0/0/7' },
  ],
});

function keys(auth: AuthProtocol, priv: PrivProtocol | undefined, engine: Buffer) {
  const ku = masterKey(auth, 'a passphrase');
  return localKeys(auth, localize(auth, ku, engine), priv, priv && localizePriv(auth, priv, ku, engine));
}

function trap(auth: AuthProtocol, priv: PrivProtocol | undefined, user = 'noc'): Buffer {
  return seal({
    ...{ msgId: 1, maxSize: 65_507, level: priv ? 'authPriv' : 'authNoPriv', engineId: SENDER, boots: 1, time: 1 },
    userName: Buffer.from(user),
    keys: keys(auth, priv, SENDER),
    salt: Buffer.alloc(8, 1),
    scopedPdu,
  });
}

function machine(auth: AuthProtocol, priv: PrivProtocol | undefined): UsmMachine {
  const key = { kind: 'master', key: masterKey(auth, 'a passphrase') } as const;
  const rate = { perSource: 20, total: 2000 };
  return new UsmMachine(
    {
      engine: { id: OWN, boots: 1, epoch: 0 },
      users: [{ name: 'noc', auth: { protocol: auth, key }, priv: priv && { protocol: priv, key } }],
      engines: new Map(),
      budgets: { newEngine: rate, costly: rate, report: rate },
      cache: 50_000,
    },
    new Salts(0, 0, false, Buffer.alloc(5)),
  );
}

/** The best of some rounds: what is above it is the machine's, not ours. */
function best(m: UsmMachine, next: (i: number) => Buffer): { micros: number; said: string } {
  let micros = Number.POSITIVE_INFINITY;
  const out: UsmEffect[] = [];
  for (let r = 0; r < ROUNDS; r++) {
    const begin = systemClock.nowMs();
    for (let i = 0; i < COUNT; i++) {
      out.length = 0;
      m.handle({ ms: begin, wallMs: 1 }, { kind: 'message', data: next(i), source: `s${i & 4095}` }, out);
    }
    micros = Math.min(micros, ((systemClock.nowMs() - begin) / COUNT) * 1000);
  }
  return { micros, said: out[0].kind === 'refuse' ? out[0].code : out[0].kind };
}

const rows: [string, UsmMachine, (i: number) => Buffer][] = [];
for (const [auth, priv] of [
  ['md5', undefined],
  ['sha256', undefined],
  ['md5', 'des'],
  ['sha256', 'aes128'],
  ['sha256', 'aes256'],
  ['sha512', 'aes256'],
] as const) {
  const data = trap(auth, priv);
  rows.push([`${auth} ${priv ?? '-'}`, machine(auth, priv), () => data]);
}
const spoofed = trap('sha256', 'aes128');
const at = spoofed.indexOf(SENDER);
let n = 0;
rows.push([
  'made-up engine',
  machine('sha256', 'aes128'),
  () => {
    spoofed.writeUInt32BE(++n, at + 5);
    return spoofed;
  },
]);
const unknown = trap('sha256', 'aes128', 'nobody');
rows.push(['unknown user', machine('sha256', 'aes128'), () => unknown]);

for (const [name, m, next] of rows) {
  const { micros, said } = best(m, next);
  process.stdout.write(`${name.padEnd(16)} ${micros.toFixed(2).padStart(7)} us  ${said}\n`);
}
