/** openconfig's fake target, dialled by the product, over the spool to a real Kafka: what it was told to say is what the topic says. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPECTED, SCRIPT } from './gnmi-script.ts';
import { KafkaLab } from './kafka.ts';
import { labAvailable, labBin } from './peers.ts';
import { Proc } from './proc.ts';
import { freePort, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

interface Update {
  target: string;
  source: { address: string; port: number };
  flavour: string;
  subscription: string;
  epoch: number;
  device: { id: string; name: string };
  network: string;
  rx: { seq: number };
  content_id: string;
}

describe.skipIf(!labAvailable('fake_server', 'java'))('gNMI to Kafka', () => {
  let dir: string;
  let kafka: KafkaLab;
  let t: Tidegate;
  let port: number;
  let target: Proc;

  async function startTarget(): Promise<void> {
    target = new Proc([
      labBin('fake_server'),
      ...['-config', join(dir, 'script.pb.txt'), '-text', '-port', String(port), '-logtostderr'],
      ...['-server_crt', join(dir, 'server.pem'), '-server_key', join(dir, 'server.key'), '-allow_no_client_auth'],
    ]);
    await target.waitForLine(/Starting RPC server/);
  }

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'tidegate-gnmi-'));
    writeFileSync(join(dir, 'script.pb.txt'), SCRIPT);
    const pem = ['-subj', '/CN=fake', '-days', '2', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    const names = ['-addext', 'subjectAltName=DNS:fake.example,IP:127.0.0.1'];
    const files = ['-keyout', 'server.key', '-out', 'server.pem'];
    execFileSync('openssl', ['req', '-x509', ...pem, ...names, ...files], { cwd: dir, stdio: 'pipe' });
    kafka = await KafkaLab.start();
    port = await freePort();
    const inventory = join(dir, 'devices.yaml');
    writeFileSync(inventory, '- {id: dev-7, name: PE 7, match: [{target: fake}]}\n');
    t = await Tidegate.start({
      config: {
        workers: 2,
        admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
        inventory: { file: inventory },
        collectors: {
          gnmi: {
            targets: [
              {
                name: 'fake',
                address: `127.0.0.1:${port}`,
                tls: { ca: `\${file:${join(dir, 'server.pem')}}`, server_name: 'fake.example' },
                subscriptions: ['all'],
              },
            ],
            subscriptions: { all: { paths: ['/'], stream_mode: 'on-change' } },
          },
        },
        export: { kafka: { brokers: kafka.bootstrap(), topic_prefix: 'g' } },
      },
    });
    await t.cli(['topics', 'apply'], { allowFailure: false });
  });
  afterAll(async () => {
    await t?.close();
    await target?.stop();
    await kafka?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const explained = async (device: string) =>
    (await t.json<{ findings: { at: string; severity: string; cause: string; fix?: string }[] }>(['explain', device]))
      .findings;

  /** What the topic says, without what only the receiver knows. */
  async function said(): Promise<object[]> {
    const records = await kafka.read('g.gnmi.update.v1');
    const updates = records.map((r) => ({ key: r.key, ...(JSON.parse(r.value.toString('utf8')) as Update) }));
    updates.sort((a, b) => a.rx.seq - b.rx.seq);
    return updates.map(({ key, target: name, source, flavour, subscription, device, network, rx, ...rest }) => {
      expect({ key, name, flavour, subscription, network }).toEqual({
        key: 'dev-7',
        name: 'fake',
        flavour: 'gnmi',
        subscription: 'all',
        network: 'default',
      });
      expect({ source, device }).toEqual({
        source: { address: '127.0.0.1', port },
        device: { id: 'dev-7', name: 'PE 7' },
      });
      expect(rx.seq).toBeGreaterThan(0);
      const { epoch, content_id: _, ...what } = rest;
      expect(epoch).toBeGreaterThan(0);
      return what;
    });
  }

  it('the topic says what the script says; stopped and started again it is said again', async () => {
    await startTarget();
    await waitFor(async () => (await said()).length >= EXPECTED.length, 'the script in the topic', { every: 1000 });
    expect(await said()).toEqual(EXPECTED);
    expect((await explained('fake')).filter((f) => f.at === 'target')).toEqual([]);
    await target.stop();
    await waitFor(async () => (await explained('fake')).some((f) => f.at === 'target'), 'explain to see it go');
    await startTarget();
    await waitFor(async () => (await said()).length >= 2 * EXPECTED.length, 'the script a second time', {
      every: 1000,
      ceiling: 120_000,
    });
    expect(await said()).toEqual([...EXPECTED, ...EXPECTED]);
    const states = (await kafka.read('g.gnmi.target.v1')).map((r) => JSON.parse(r.value.toString('utf8')) as object);
    expect(states).toMatchObject(
      ['down', 'up', 'synced', 'down', 'up', 'synced'].map((state) => ({ state, target: 'fake' })),
    );
  });

  it('a target that cannot be reached is what explain and status name, each attempt counted', async () => {
    await target.stop();
    const down = await waitFor(
      async () =>
        (await explained('fake')).find(
          (f) => f.at === 'target' && f.severity === 'problem' && /ECONNREFUSED/.test(f.cause),
        ),
      'explain to name the target',
    );
    expect(down.cause).toMatch(
      /gNMI target fake .*subscription all is down since .*: target-unreachable: .*ECONNREFUSED/,
    );
    expect(down.fix).toMatch(/its gNMI server is on/);
    for (const name of ['dev-7', `127.0.0.1:${port}`])
      expect((await explained(name)).map((f) => f.at)).toContain('target');
    expect((await explained('192.0.2.1')).map((f) => f.at)).not.toContain('target');
    const { stdout } = await t.cli(['status']);
    expect(stdout).toMatch(/DOWN fake \(127\.0\.0\.1:\d+\) all: target-unreachable: .*ECONNREFUSED/);
    const { counters, workers } = await t.status<{
      counters: Record<string, number>;
      workers: { collectors: { gnmi: { targets: { subscriptions: { attempts: number }[] }[] } } }[];
    }>();
    const refused = Object.entries(counters).find(
      ([k]) => /refused.*gnmi/.test(k) && k.includes('target-unreachable'),
    )?.[1];
    const attempts = workers.flatMap((w) => w.collectors.gnmi.targets).flatMap((x) => x.subscriptions);
    expect(attempts).toHaveLength(1);
    expect(refused).toBeGreaterThanOrEqual(1);
    expect(refused).toBeLessThanOrEqual(attempts[0].attempts);
    expect(await t.sigterm()).toEqual({ code: 0, signal: null });
    expect(await t.json(['audit', '--kafka'])).toMatchObject({ clean: true });
  });
});
