/** Twenty thousand SNMPv3 users on as many engines: each is heard, and one more comes by a reload. */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { encodeScopedPdu } from '../../../src/codec/snmp/v3-encode.ts';
import { SnmpTrapCollector } from '../../../src/collectors/snmp-trap/collector.ts';
import { type SnmpTrapConfig, snmpTrapConfig } from '../../../src/collectors/snmp-trap/config.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import { silentLog } from '../../../src/core/log.ts';
import { DeviceTable } from '../../../src/inventory/inventory.ts';
import { MemoryUdpSocket } from '../../../src/net/memory.ts';
import { localize, localizePriv, localKeys } from '../../../src/protocol/usm/keys.ts';
import { seal } from '../../../src/protocol/usm/seal.ts';
import { Refusals } from '../../../src/telemetry/refusals.ts';
import { Registry } from '../../../src/telemetry/registry.ts';
import { NOTIFICATION } from '../../protocol/usm/sender.ts';

const USERS = 20_000;

/** Master keys, so that no megabyte is hashed: any octets will do. */
const ku = (i: number, part: string): Buffer => createHash('sha1').update(`${part} ${i}`).digest();
const engineOf = (i: number): Buffer => Buffer.from(`8000000903${i.toString(16).padStart(12, '0')}`, 'hex');
/** Every other one is known on its engine alone; the rest on any, and their engines are new. */
const userOf = (i: number) => ({
  name: `user-${i}`,
  ...(i % 2 === 0 && { engine_id: engineOf(i).toString('hex') }),
  auth: { protocol: 'sha1', master_key: ku(i, 'auth').toString('hex') },
  priv: { protocol: 'aes128', master_key: ku(i, 'priv').toString('hex') },
});
const configOf = (users: number): SnmpTrapConfig =>
  snmpTrapConfig.parse({
    users: Array.from({ length: users }, (_, i) => userOf(i)),
    new_engines: { per_source: 1_000_000, total: 1_000_000, cache: 100_000 },
  });

function trapOf(i: number, time: number): Buffer {
  const engineId = engineOf(i);
  const priv = localizePriv('sha1', 'aes128', ku(i, 'priv'), engineId);
  return seal({
    ...{ msgId: i + 1, maxSize: 65_507, level: 'authPriv', engineId, boots: 1, time },
    userName: Buffer.from(`user-${i}`),
    keys: localKeys('sha1', localize('sha1', ku(i, 'auth'), engineId), 'aes128', priv),
    salt: Buffer.alloc(8, i),
    scopedPdu: encodeScopedPdu(engineId, Buffer.alloc(0), { pdu: 'trap', requestId: i, varbinds: NOTIFICATION }),
  });
}

it('of 20,000 users on 20,000 engines each is heard, and one that a reload adds, and all others after it', () => {
  const clock = new ManualClock();
  const metrics = new Registry();
  const refusals = new Refusals(metrics, clock);
  const socket = new MemoryUdpSocket('192.0.2.10', 162);
  const heard: string[] = [];
  const collector = new SnmpTrapCollector(
    configOf(USERS),
    [{ spec: { network: 'default', address: '192.0.2.10', port: 162 }, socket }],
    {
      clock,
      log: silentLog,
      metrics,
      refusals,
      inventory: new DeviceTable(),
      worker: 0,
      workers: 1,
      pipeline: {
        emit: (draft) => {
          const { security, engine_id } = draft.data as { security: { user: string }; engine_id: string };
          heard.push(`${security.user} ${engine_id}`);
          return true;
        },
        batchDone: () => true,
        accepts: () => true,
        paused: false,
        onResume() {},
        hasDurableExporter: false,
      },
    },
  );
  collector.start();
  const send = (i: number, time: number): void =>
    socket.inject({ data: trapOf(i, time), source: '198.51.100.1', sourcePort: 161, sec: 1, nsec: 0 });
  const name = (i: number): string => `user-${i} ${engineOf(i).toString('hex')}`;
  const all = Array.from({ length: USERS }, (_, i) => name(i));

  for (let i = 0; i < USERS; i++) send(i, 10);
  expect(refusals.list()).toEqual([]);
  expect(heard).toEqual(all);
  expect(collector.status().v3).toMatchObject({ users: USERS, users_pending: 0, engines: USERS });

  const learned = (): number | undefined => {
    collector.health();
    return metrics.snapshot().find((m) => m[0] === 'tidegate_usm_keys')?.[2];
  };
  expect(learned()).toBe(USERS / 2);
  send(USERS, 10);
  expect(refusals.list().map((r) => [r.code, r.count])).toEqual([['unknown-user', 1]]);
  collector.reconfigure(configOf(USERS + 1));
  heard.length = 0;
  send(USERS, 11);
  expect(heard).toEqual([name(USERS)]);
  // Keys that were learned are kept, and each is still only its own.
  expect(learned()).toBe(USERS / 2);
  heard.length = 0;
  for (let i = 0; i < USERS; i += 7) send(i, 12);
  expect(heard).toEqual(all.filter((_, i) => i % 7 === 0));
  expect(refusals.list().map((r) => [r.code, r.count])).toEqual([['unknown-user', 1]]);
});
