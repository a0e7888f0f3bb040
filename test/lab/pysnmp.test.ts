/** A third sender: pysnmp, in Python. Its traps and informs, v2c and v3, are events equal to what was sent. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validateEvent } from '../schema.ts';
import { labAvailable, labBin, REPO } from './peers.ts';
import { exec } from './proc.ts';
import { MARK_OID, markOf } from './snmp-load.ts';
import { listening, Tidegate } from './tidegate.ts';

const USERS = (['md5', 'sha1', 'sha256', 'sha512'] as const).flatMap((auth) =>
  (['des', 'aes128', 'aes256', 'aes256c'] as const).map((priv) => ({ auth, priv, name: `p-${auth}-${priv}` })),
);
const ENGINE = '80001f8804707973656e646572';

describe.skipIf(!labAvailable())('pysnmp', () => {
  let t: Tidegate;
  beforeAll(async () => {
    t = await Tidegate.start({
      config: {
        workers: 1,
        admin: { listen: '127.0.0.1:0' },
        collectors: {
          snmp_trap: {
            listen: ['127.0.0.1:0'],
            communities: [{ name: 'public' }],
            engine: { id: '0x80001f88047469646567617465', boots: 3, epoch: '2026-01-01T00:00:00Z' },
            users: USERS.map(({ name, auth, priv }) => ({
              name,
              auth: { protocol: auth, passphrase: `auth of ${name}` },
              priv: { protocol: priv, passphrase: `priv of ${name}` },
            })),
          },
        },
      },
    });
  });
  afterAll(() => t?.close());

  it('v2c and v3, traps and informs of every pair of protocols it has', async () => {
    const port = listening(t, 'snmp_trap')[0].split(':')[1];
    const wanted = [
      ...(['trap', 'inform'] as const).map((kind) => ({ kind, version: 'v2c' as const })),
      ...USERS.flatMap(({ name, auth, priv }) =>
        (['trap', 'inform'] as const).map((kind) => ({
          ...{ kind, version: 'v3' as const, user: name, auth, priv },
          ...{ authKey: `auth of ${name}`, privKey: `priv of ${name}` },
        })),
      ),
      // pysnmp sends text as Latin-1, which is no UTF-8: hex in the event.
    ].map((n, i) => ({ ...n, number: i + 1, text: `caf\u00e9 ${i}` }));
    const done = await exec(
      [labBin('/usr/bin/python3'), `${REPO}/test/lab/pysnmp-send.py`, '127.0.0.1', port, ENGINE],
      { input: JSON.stringify(wanted), allowFailure: true },
    );
    expect(done.stderr.replace(/.*Deprecat.*\n.*\n/g, '')).toBe('');
    const told = done.stdout.trim().split('\n');
    expect(wanted.flatMap((w, i) => (told[i] === 'ok' ? [] : [[w, told[i]]]))).toEqual([]);
    await t.waitEvents((e) => markOf(e.data) !== undefined, wanted.length);
    const events = t.events.filter((e) => e.type === 'snmp.trap.v1');
    expect(events).toHaveLength(wanted.length);
    for (const w of wanted) {
      const e = events.find((e) => markOf(e.data) === w.number)!;
      validateEvent(e);
      expect(e.data).toMatchObject({ version: w.version, pdu: w.kind, trap_oid: '1.3.6.1.6.3.1.1.5.3' });
      if (w.version === 'v3') {
        expect(e.data.security).toEqual({ user: w.user, level: 'authPriv' });
        if (w.kind === 'trap') expect(e.data.engine_id).toBe(ENGINE);
      }
      const varbinds = e.data.varbinds as { oid: string; type: string; value: unknown }[];
      expect(varbinds.filter((v) => v.oid.startsWith(MARK_OID.slice(0, -2)))).toMatchObject([
        { oid: MARK_OID, type: 'gauge32', value: w.number },
        { type: 'octet-string', value: `0x${Buffer.from(w.text, 'latin1').toString('hex')}` },
      ]);
    }
    expect(t.events.filter((e) => e.type === 'security.v1')).toEqual([]);
  });
});
