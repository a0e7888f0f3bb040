/**
 * `network:` on an exporter, a relay and a gNMI target: one address that two networks have, and only the one behind the device is meant.
 * The routing table of `node` prefers the other one, `wrong`, where nobody listens.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaLab } from './kafka.ts';
import { Kcat } from './kcat.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin, NODE } from './peers.ts';
import { Proc } from './proc.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const FAR = '192.0.2.9';
const lab = new Lab();
let node: Namespace;
let far: Namespace;
let kafka: KafkaLab;
const cleanup: (() => Promise<unknown> | unknown)[] = [];

beforeAll(async () => {
  node = lab.namespace('node');
  far = lab.namespace('far');
  const wrong = lab.namespace('wrong');
  lab.link(
    { ns: node, dev: 'mgmt0', addresses: ['10.9.0.1/24'] },
    { ns: far, dev: 'eth0', addresses: ['10.9.0.2/24'] },
  );
  lab.link(
    { ns: node, dev: 'data0', addresses: ['10.8.0.1/24'] },
    { ns: wrong, dev: 'eth0', addresses: ['10.8.0.2/24'] },
  );
  for (const ns of [far, wrong]) ns.sh(`ip address add ${FAR}/32 dev lo`);
  node.sh(
    `ip route add ${FAR}/32 via 10.8.0.2 dev data0 metric 10; ip route add ${FAR}/32 via 10.9.0.2 dev mgmt0 metric 500`,
  );
  kafka = await KafkaLab.start({ address: FAR, prefix: far.prefix, basePort: 19092 });
});

afterAll(async () => {
  for (const fn of cleanup.reverse()) await fn();
  await kafka?.close();
  await lab.close();
});

describe.skipIf(!labAvailable())('networks of what tidegate dials', () => {
  it.each(['platformatic', 'kafkajs'] as const)(
    '%s, a relay and a gNMI target go through the device',
    async (client) => {
      // Kafka behind the device, the receiver of the relay and the gNMI target too.
      const receiver = new Proc([
        ...far.prefix,
        NODE,
        '-e',
        `const s=require('node:dgram').createSocket('udp4');s.on('message',(m)=>console.log('trap '+m.length));s.bind(1162,'${FAR}',()=>console.log('bound'))`,
      ]);
      cleanup.push(() => receiver.stop());
      await receiver.waitForLine(/bound/);
      const script = join(lab.dir, 'script.pb.txt');
      writeFileSync(
        script,
        'target: "fake"\nclient_type: GRPC_GNMI\ndisable_eof: true\nfixed: < responses: < update: < timestamp: 1 update: < path: < elem: < name: "s" > > val: < string_val: "there" > > > > >\n',
      );
      const [crt, key] = [join(lab.dir, 'target.pem'), join(lab.dir, 'target.key')];
      execFileSync(
        'openssl',
        [
          ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
          ...['-subj', '/CN=fake', '-keyout', key, '-out', crt],
        ],
        { stdio: 'pipe' },
      );
      const target = new Proc([
        ...[...far.prefix, labBin('fake_server'), '-config', script, '-text', '-port', '57400', '-logtostderr'],
        ...['-server_crt', crt, '-server_key', key, '-allow_no_client_auth'],
      ]);
      cleanup.push(() => target.stop());
      await target.waitForLine(/Starting RPC server/);
      const prefix = `net-${client}`;
      const t = await Tidegate.start({
        ns: node,
        config: {
          workers: 1,
          networks: { mgmt: { device: 'mgmt0' } },
          collectors: {
            snmp_trap: { listen: ['127.0.0.1:1162'], communities: [{ name: 'public' }] },
            gnmi: {
              targets: [
                {
                  name: 'fake',
                  address: `${FAR}:57400`,
                  network: 'mgmt',
                  tls: { skip_verify: true },
                  subscriptions: ['all'],
                },
              ],
              subscriptions: { all: { paths: ['/'], stream_mode: 'on-change' } },
            },
          },
          export: {
            kafka: { brokers: kafka.bootstrap(), topic_prefix: prefix, network: 'mgmt', client },
            old: { type: 'relay', targets: [`${FAR}:1162`], network: 'mgmt', community: 'public' },
          },
        },
      });
      cleanup.push(() => t.close());
      // The verbs take the same way.
      expect(await t.cli(['topics', 'apply'])).toMatchObject({ code: 0, stderr: '' });
      expect((await t.cli(['check', '--connect'])).stdout).toMatch(/export.kafka: Kafka answers/);
      const follow = (type: string) => new Kcat(kafka.bootstrap(), `${prefix}.${type}`, far);
      const [traps, updates] = [follow('snmp.trap.v1'), follow('gnmi.update.v1')];
      cleanup.push(() => Promise.all([traps.proc.stop(), updates.proc.stop()]));
      node.sh(`${labBin('snmptrap')} -v2c -c public 127.0.0.1:1162 '' 1.3.6.1.6.3.1.1.5.3`);
      await receiver.waitForLine(/trap \d+/);
      await waitFor(() => traps.find().length === 1, 'the trap in Kafka');
      await waitFor(() => updates.find().length >= 1, 'the update in Kafka');
      expect(updates.find()[0].data).toMatchObject({ target: 'fake', network: 'mgmt', source: { address: FAR } });
      await t.close();
      await receiver.stop();
      await target.stop();
    },
  );
});
