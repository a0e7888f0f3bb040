/** Microseconds a v2c trap of six varbinds takes: decode; and decode, normalise and JSON. Run: node bench/decode-snmp.ts */
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { decodeEnvelope, decodePdu } from '../src/codec/snmp/decode.ts';
import { notificationOf } from '../src/codec/snmp/rfc3584.ts';
import { meaningOf } from '../src/collectors/snmp-trap/meaning.ts';
import { normalise, type Origin, V2C } from '../src/collectors/snmp-trap/normalise.ts';
import { loadAlarms } from '../src/config/alarms-file.ts';
import { systemClock } from '../src/core/clock.ts';
import { isDecodeError } from '../src/core/result.ts';

const { vectors } = JSON.parse(readFileSync(new URL('../test/codec/snmp/vectors.json', import.meta.url), 'utf8')) as {
  vectors: { hex: string }[];
};
const datagram = Buffer.from(vectors[0].hex, 'hex');
const origin: Origin = {
  network: 'default',
  address: '192.0.2.1',
  port: 50_000,
  sec: 1_700_000_000,
  nsec: 123_456_789,
  device: { id: 'default|192.0.2.1', name: '192.0.2.1' },
};

const meaning = meaningOf(loadAlarms(undefined).rules);

function decode(): ReturnType<typeof decodePdu> {
  const envelope = decodeEnvelope(datagram);
  return isDecodeError(envelope) ? envelope : decodePdu(datagram, envelope);
}

function whole(): number {
  const pdu = decode();
  if (isDecodeError(pdu)) throw new Error(pdu.code);
  return JSON.stringify(normalise(datagram, V2C, 'trap', notificationOf(pdu)!, origin, meaning).data).length;
}

const ROUNDS = 7;
const COUNT = 100_000;

/** The best of some rounds: what is above it is the machine's, not ours. */
function measure(fn: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let r = 0; r < ROUNDS; r++) {
    const t = systemClock.nowMs();
    for (let i = 0; i < COUNT; i++) fn();
    best = Math.min(best, (1000 * (systemClock.nowMs() - t)) / COUNT);
  }
  return best;
}

console.log(
  JSON.stringify({ bytes: datagram.length, decode_us: measure(decode), decode_normalise_json_us: measure(whole) }),
);
