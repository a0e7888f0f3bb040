/** Credentials that are renewed in their files are taken without a restart: a password as `${file:…}`, a token as `token_file`. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaLab, LAB_USER } from './kafka.ts';
import { labAvailable } from './peers.ts';
import { markOf, portOf, SnmpLoad } from './snmp-load.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

interface Status {
  workers: { pid: number; exporters: { exporter: string; up: boolean; problems: { problem: string }[] }[] }[];
}

const part = (o: object) => Buffer.from(JSON.stringify(o)).toString('base64url');
/** As the broker's unsecured validator takes it; one that has expired is refused. */
function token(seconds: number): string {
  const iat = Math.floor(Date.now() / 1000) - 3600;
  return `${part({ alg: 'none' })}.${part({ sub: LAB_USER.username, iat, exp: iat + 3600 + seconds })}.`;
}

describe.skipIf(!labAvailable('java'))('credentials of Kafka', () => {
  let kafka: KafkaLab;
  beforeAll(async () => {
    kafka = await KafkaLab.start({ listeners: ['sasl'] });
  });
  afterAll(() => kafka?.close());

  it.each(
    (['platformatic', 'kafkajs'] as const).flatMap((client) => [
      { client, what: 'a password', mechanism: 'scram-sha-256', wrong: 'not-the-password', right: LAB_USER.password },
      { client, what: 'a token', mechanism: 'oauthbearer', wrong: token(-600), right: token(600) },
    ]),
  )(
    '$client: $what that is corrected in its file delivers what waited',
    async ({ client, mechanism, wrong, right }) => {
      const prefix = `${client}-${mechanism}`;
      for (const type of ['snmp.trap.v1', 'system.v1']) await kafka.createTopic(`${prefix}.${type}`, 2);
      const file = join(kafka.dir, `${prefix}.secret`);
      // Replaced as a whole, as a mounted Secret is.
      const renew = (text: string) => {
        writeFileSync(`${file}.new`, `${text}\n`);
        renameSync(`${file}.new`, file);
      };
      renew(wrong);
      const secret =
        mechanism === 'oauthbearer'
          ? { token_file: file }
          : { username: LAB_USER.username, password: `\${file:${file}}` };
      const t = await Tidegate.start({
        config: {
          workers: 1,
          // The lab's folder is root's alone.
          user: 'root',
          admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
          collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
          export: {
            kafka: { brokers: kafka.bootstrap('sasl'), topic_prefix: prefix, client, sasl: { mechanism, ...secret } },
            stdout: { enabled: false },
          },
        },
      });
      const load = await SnmpLoad.open(portOf(t.ready, 'snmp_trap'));
      try {
        await load.send('trap', 50);
        const exporter = async () =>
          (await t.status<Status>()).workers[0].exporters.find((e) => e.exporter === 'kafka')!;
        await waitFor(
          async () => /refuses our credentials/.test((await exporter()).problems[0]?.problem ?? ''),
          'the refusal',
          {
            every: 500,
          },
        );
        const { pid } = (await t.status<Status>()).workers[0];
        renew(right);
        const found = await waitFor(
          async () => {
            const records = await kafka.read(`${prefix}.snmp.trap.v1`);
            if (records.length < 50) throw new Error(`${records.length} of 50`);
            return records.map((r) => markOf(JSON.parse(r.value.toString()) as Record<string, unknown>));
          },
          'what waited to be in Kafka',
          { every: 1000 },
        );
        expect(new Set(found)).toEqual(new Set(load.traps.keys()));
        await waitFor(async () => (await exporter()).up, 'the exporter to be up');
        expect((await t.status<Status>()).workers[0].pid).toBe(pid);
        const secrets = [wrong, right].filter((s) => s !== '');
        for (const s of secrets) expect(JSON.stringify(t.logs)).not.toContain(s);
        expect(await t.sigterm()).toEqual({ code: 0, signal: null });
      } finally {
        load.close();
        await t.close();
      }
    },
  );
});
