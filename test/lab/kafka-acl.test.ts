/** A broker that denies: `check --connect`, the log, `status` and `explain` say what is missing; nothing is lost; once granted, all is delivered. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { sampleSession } from '../../src/codec/bmp/describe.ts';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import { parseEndpoint } from '../../src/core/ip.ts';
import { exportConfig } from '../../src/export/config.ts';
import type { KafkaConfig } from '../../src/export/kafka/config.ts';
import { wantedTopics } from '../../src/export/kafka/topics.ts';
import { sendBmp, sendTrap } from '../../src/net/send.ts';
import { KafkaLab, LAB_USER } from './kafka.ts';
import { labAvailable } from './peers.ts';
import { listening, Tidegate, tidegateCli } from './tidegate.ts';
import { waitFor } from './wait.ts';

/** Nothing is granted on the first; it may be described and not written on the second. */
const TRAPS = 'tidegate.snmp.trap.v1';
const BMP = 'tidegate.bmp.peer.v1';
const COUNT = 40;

interface Check {
  findings: { severity: string; what: string; fix?: string }[];
}

describe.skipIf(!labAvailable('java'))('Kafka ACLs that are missing', () => {
  let kafka: KafkaLab;
  let t: Tidegate;
  const config = () => ({
    brokers: kafka.bootstrap('sasl'),
    sasl: { mechanism: 'plain', ...LAB_USER },
  });

  async function allow(topic: string, ...operations: AclOperationTypes[]): Promise<void> {
    await kafka.admin((admin) =>
      admin.createAcls({
        acl: operations.map((operation) => ({
          resourceType: AclResourceTypes.TOPIC,
          resourceName: topic,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: `User:${LAB_USER.username}`,
          host: '*',
          operation,
          permissionType: AclPermissionTypes.ALLOW,
        })),
      }),
    );
  }

  const { DESCRIBE, WRITE, READ } = AclOperationTypes;
  const checked = async () => {
    const r = await t.cli(['check', '--connect', '-o', 'json']);
    return { code: r.code, text: r.stdout };
  };

  beforeAll(async () => {
    kafka = await KafkaLab.start({ listeners: ['sasl'], acl: true });
    const topics = exportConfig.parse({ kafka: config() }).exporters.kafka as KafkaConfig;
    for (const topic of wantedTopics(topics).keys()) {
      await kafka.createTopic(topic, topic === TRAPS ? 2 : 1);
      if (topic !== TRAPS) await allow(topic, DESCRIBE, ...(topic === BMP ? [] : [WRITE]));
    }
    t = await Tidegate.start({
      config: {
        node: 'edge-1',
        workers: 1,
        collectors: {
          snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] },
          bmp: { listen: ['127.0.0.1:0'] },
        },
        export: { kafka: config() },
        admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
      },
    });
  });

  afterAll(async () => {
    await t?.close();
    await kafka?.close();
  });

  it('names the topic and the ACL, loses nothing, and delivers all of it once it is granted', async () => {
    const before = await checked();
    expect(before.code).toBe(1);
    for (const topic of [TRAPS, BMP]) expect(before.text).toContain(`we may not write to topic ${topic}`);
    expect(before.text).toContain('the ACLs Write and Describe');
    expect(before.text).not.toContain('we may not write to topic tidegate.system.v1');
    expect(before.text).not.toContain(LAB_USER.password);

    const [trapAt] = listening(t, 'snmp_trap');
    const [bmpAt] = listening(t, 'bmp');
    for (let i = 0; i < COUNT; i++)
      await sendTrap(
        buildTrap({
          version: 'v2c',
          community: 'public',
          trapOid: `1.3.6.1.4.1.99999.0.${i + 1}`,
          uptime: i,
          inform: false,
          varbinds: [],
        }),
        ...at(trapAt),
        false,
      );
    expect(await sendBmp(sampleSession(), ...at(bmpAt))).toBeUndefined();
    for (const topic of [TRAPS, BMP]) {
      const line = await t.waitLog((l) => l.topic === topic && l.level === 'warn', `the denied topic ${topic}`);
      expect(line.msg).toBe(`we may not write to topic ${topic}; nothing is lost, it waits in the spool`);
      expect(line.fix).toBe('give our principal the ACLs Write and Describe on it (kafka-acls --add --producer)');
    }
    // What is not denied goes on: the BMP update is in its topic while its peer's event waits.
    await waitFor(async () => (await kafka.read('tidegate.bmp.update.v1')).length >= 1, 'what is granted');
    const explained = await t.json<{ findings: { at: string; cause: string; fix?: string }[] }>([
      'explain',
      '127.0.0.1',
    ]);
    expect(explained.findings.find((f) => f.at === 'export' && f.cause.includes(TRAPS))).toMatchObject({
      cause: expect.stringContaining('nothing is lost'),
      fix: expect.stringContaining('ACLs Write and Describe'),
    });
    expect(await kafka.read(TRAPS)).toEqual([]);

    await allow(TRAPS, DESCRIBE, WRITE);
    await allow(BMP, WRITE);
    await waitFor(async () => (await kafka.read(TRAPS)).length >= COUNT, 'the traps that waited', { ceiling: 90_000 });
    await waitFor(async () => (await kafka.read(BMP)).length >= 1, 'the peer event that waited', { ceiling: 90_000 });
    const oids = (await kafka.read(TRAPS)).map((r) => JSON.parse(r.value.toString()).trap_oid as string);
    expect([...new Set(oids)].sort()).toEqual(
      Array.from({ length: COUNT }, (_, i) => `1.3.6.1.4.1.99999.0.${i + 1}`).sort(),
    );
    const after = await checked();
    expect({ code: after.code, problems: problems(after.text) }).toEqual({ code: 0, problems: [] });
    expect(await t.sigterm()).toMatchObject({ code: 0 });

    // The audit as somebody who may read everything: clean, and it has seen every trap.
    const all = join(kafka.dir, 'audit.yaml');
    writeFileSync(all, stringify({ export: { kafka: { brokers: kafka.bootstrap() } } }));
    const audit = await tidegateCli(['audit', '--kafka', '-o', 'json', '-c', all]);
    expect(audit.code, audit.stdout + audit.stderr).toBe(0);
    expect(JSON.parse(audit.stdout)).toMatchObject({ clean: true, findings: [], unread: [] });
  });

  it('an audit that may not read a topic says which, and judges the rest', async () => {
    await allow('tidegate.system.v1', READ);
    const mine = join(kafka.dir, 'mine.yaml');
    writeFileSync(mine, stringify({ export: { kafka: config() } }));
    const audit = await tidegateCli(['audit', '--kafka', '-o', 'json', '-c', mine]);
    expect(audit.code, audit.stdout + audit.stderr).toBe(1);
    const report = JSON.parse(audit.stdout) as { clean: boolean; unread: { topic: string; reason: string }[] };
    expect(report.clean).toBe(false);
    expect(report.unread.map((u) => u.topic)).toContain(TRAPS);
    expect(report.unread.map((u) => u.topic)).not.toContain('tidegate.system.v1');
  });

  function problems(text: string): unknown[] {
    return (JSON.parse(text) as Check).findings.filter((f) => f.severity === 'problem');
  }

  function at(text: string): [string, number] {
    const e = parseEndpoint(text)!;
    return [e.address, e.port];
  }
});
