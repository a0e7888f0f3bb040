/** The gNMI collector against openconfig's fake target: what it was told to say is what the events say. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Rig, rig, until } from '../collectors/gnmi/harness.ts';
import { labAvailable, labBin } from './peers.ts';
import { Proc } from './proc.ts';

/** The fake target's script (protobuf text of openconfig/gnmi testing/fake/proto): one notification after the other, then sync_response. */
const SCRIPT = `
target: "fake"
client_type: GRPC_GNMI
disable_eof: true
fixed: <
  responses: < update: <
    timestamp: 1700000000000000001
    prefix: < origin: "openconfig" elem: < name: "interfaces" > >
    update: <
      path: < elem: < name: "interface" key: < key: "name" value: "Ethernet1/1" > > elem: < name: "in-octets" > >
      val: < uint_val: 18446744073709551615 >
    >
    update: <
      path: < elem: < name: "interface" key: < key: "name" value: "a]b" > > elem: < name: "out-octets" > >
      val: < int_val: -9223372036854775808 >
    >
  > >
  responses: < update: <
    timestamp: 1700000000000000002
    update: < path: < elem: < name: "s" > > val: < string_val: "caf\\303\\251" > >
    update: < path: < elem: < name: "b" > > val: < bool_val: true > >
    update: < path: < elem: < name: "y" > > val: < bytes_val: "\\000\\377" > >
    update: < path: < elem: < name: "f" > > val: < float_val: 0.1 > >
    update: < path: < elem: < name: "d" > > val: < double_val: 2.5 > >
    update: < path: < elem: < name: "dec" > > val: < decimal_val: < digits: -1234 precision: 2 > > >
    update: < path: < elem: < name: "l" > > val: < leaflist_val: < element: < string_val: "x" > element: < uint_val: 7 > > > >
    update: < path: < elem: < name: "j" > > val: < json_val: '{"n":9007199254740993,"list":[1,2.5,null]}' > >
    update: < path: < elem: < name: "ji" > > val: < json_ietf_val: '{"openconfig-interfaces:mtu":1500}' > >
    update: < path: < elem: < name: "a" > > val: < ascii_val: "show version" > >
    update: < path: < elem: < name: "p" > > val: < proto_bytes: "\\010\\001" > >
    update: < path: < element: "old" element: "style" > value: < value: '"v"' type: JSON > >
  > >
  responses: < update: <
    timestamp: 1700000000000000003
    delete: < elem: < name: "s" > >
    delete: < elem: < name: "interfaces" > elem: < name: "interface" key: < key: "name" value: "Ethernet1/1" > > >
    atomic: true
  > >
>
`;

const EXPECTED = [
  {
    timestamp_ns: '1700000000000000001',
    origin: 'openconfig',
    prefix: '/interfaces',
    updates: [
      {
        path: '/interface[name=Ethernet1/1]/in-octets',
        tags: { interface_name: 'Ethernet1/1' },
        type: 'uint64',
        value: '18446744073709551615',
      },
      {
        path: '/interface[name=a\\]b]/out-octets',
        tags: { interface_name: 'a]b' },
        type: 'int64',
        value: '-9223372036854775808',
      },
    ],
  },
  {
    timestamp_ns: '1700000000000000002',
    updates: [
      { path: '/s', type: 'string', value: 'café' },
      { path: '/b', type: 'bool', value: true },
      { path: '/y', type: 'bytes', value: '0x00ff' },
      { path: '/f', type: 'float', value: 0.1 },
      { path: '/d', type: 'double', value: 2.5 },
      { path: '/dec', type: 'decimal64', value: '-12.34' },
      {
        path: '/l',
        type: 'leaflist',
        value: [
          { type: 'string', value: 'x' },
          { type: 'uint64', value: '7' },
        ],
      },
      { path: '/j', type: 'json', value: { n: '9007199254740993', list: [1, 2.5, null] } },
      { path: '/ji', type: 'json_ietf', value: { 'openconfig-interfaces:mtu': 1500 } },
      { path: '/a', type: 'ascii', value: 'show version' },
      { path: '/p', type: 'proto', value: '0x0801' },
      { path: '/old/style', type: 'json', value: 'v' },
    ],
  },
  {
    timestamp_ns: '1700000000000000003',
    updates: [],
    deletes: ['/s', '/interfaces/interface[name=Ethernet1/1]'],
    atomic: true,
  },
  { sync: true },
];

describe.skipIf(!labAvailable('fake_server'))('gNMI dial-in with the openconfig fake target', () => {
  let dir = '';
  const cleanup: (() => unknown)[] = [];

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'tidegate-gnmi-'));
    writeFileSync(join(dir, 'script.pb.txt'), SCRIPT);
    writeFileSync(join(dir, 'san'), 'subjectAltName=DNS:fake.example,IP:127.0.0.1');
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    openssl('req', '-x509', ...ec, '-subj', '/CN=lab-ca', '-keyout', 'ca.key', '-out', 'ca.pem');
    for (const name of ['server', 'client']) {
      openssl(
        'req',
        '-new',
        ...ec.slice(0, 4),
        '-nodes',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.csr`,
      );
      const sign = ['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'];
      openssl(...sign, '-days', '2', '-extfile', 'san', '-out', `${name}.pem`);
    }
  });
  afterEach(async () => {
    for (const f of cleanup.splice(0).reverse()) await f();
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const pem = (file: string) => readFileSync(join(dir, file), 'utf8');

  /** The fake server takes its port as an argument: one that is free now. */
  async function freePort(): Promise<number> {
    const s = createServer();
    await new Promise<void>((resolve) => s.listen(0, '127.0.0.1', resolve));
    const { port } = s.address() as { port: number };
    await new Promise((resolve) => s.close(resolve));
    return port;
  }

  async function target(port: number, ...more: string[]): Promise<Proc> {
    const p = new Proc([
      labBin('fake_server'),
      ...['-config', join(dir, 'script.pb.txt'), '-text', '-port', String(port), '-logtostderr'],
      ...['-server_crt', join(dir, 'server.pem'), '-server_key', join(dir, 'server.key'), ...more],
    ]);
    cleanup.push(() => p.stop());
    await p.waitForLine(/Starting RPC server/);
    return p;
  }

  function collect(port: number, tls: object | false): Rig {
    const r = rig({
      targets: [{ name: 'fake', address: `127.0.0.1:${port}`, tls, subscriptions: ['all'] }],
      subscriptions: { all: { paths: ['/'], stream_mode: 'on-change' } },
    });
    cleanup.push(() => r.collector.stop());
    r.collector.start();
    return r;
  }

  /** What the script determines of the events. */
  function said(r: Rig): object[] {
    return r.pipeline.updates().map(({ target: name, source, flavour, subscription, epoch, ...rest }) => {
      expect({ name, flavour, subscription }).toEqual({ name: 'fake', flavour: 'gnmi', subscription: 'all' });
      expect(source.address).toBe('127.0.0.1');
      expect(epoch).toBeGreaterThan(0);
      return rest;
    });
  }

  function lastError(r: Rig): { code: string; detail: string } | undefined {
    const [t] = r.collector.status().targets as {
      subscriptions: { last_error?: { code: string; detail: string } }[];
    }[];
    return t.subscriptions[0].last_error;
  }

  it('events equal the script; stopped and started again, it is heard again', async () => {
    const port = await freePort();
    const first = await target(port, '-allow_no_client_auth');
    const r = collect(port, { ca: pem('ca.pem'), server_name: 'fake.example' });
    await until(() => r.pipeline.states().includes('synced'), 'the first sync');
    expect(said(r)).toEqual(EXPECTED);
    expect(r.pipeline.states()).toEqual(['up', 'synced']);

    await first.stop();
    await until(() => r.pipeline.states().includes('down'), 'down');
    await target(port, '-allow_no_client_auth');
    await until(() => r.pipeline.states().length >= 5, 'the second sync');
    expect(r.pipeline.states()).toEqual(['up', 'synced', 'down', 'up', 'synced']);
    expect(said(r)).toEqual([...EXPECTED, ...EXPECTED]);
    const ids = r.pipeline.drafts.filter((d) => d.type === 'gnmi.update.v1').map((d) => d.contentId);
    expect(ids.slice(4)).toEqual(ids.slice(0, 4));
  });

  it('client certificates: asked for and given, or named as missing', async () => {
    const port = await freePort();
    await target(port, '-ca_crt', join(dir, 'ca.pem'));
    const without = collect(port, { ca: pem('ca.pem') });
    await until(() => lastError(without), 'the refusal');
    expect(lastError(without)?.code).toMatch(/^target-(tls|unreachable)$/);
    expect(without.pipeline.updates()).toEqual([]);
    const withOne = collect(port, { ca: pem('ca.pem'), cert: pem('client.pem'), key: pem('client.key') });
    await until(() => withOne.pipeline.states().includes('synced'), 'sync');
    expect(said(withOne)).toEqual(EXPECTED);
  });

  it('a certificate of an unknown CA, or for another name, is refused; skip_verify takes it; plaintext is no TLS', async () => {
    const port = await freePort();
    await target(port, '-allow_no_client_auth');
    const unknown = collect(port, {});
    const other = collect(port, { ca: pem('ca.pem'), server_name: 'other.example' });
    const plain = collect(port, false);
    const lax = collect(port, { skip_verify: true });
    await until(() => lastError(unknown) && lastError(other) && lastError(plain), 'three refusals');
    expect(lastError(unknown)?.code).toBe('target-tls');
    expect(lastError(other)?.code).toBe('target-tls');
    expect(lastError(plain)?.code).toMatch(/^target-(tls|unreachable|closed)$/);
    await until(() => lax.pipeline.states().includes('synced'), 'sync');
    for (const r of [unknown, other, plain]) {
      expect(r.pipeline.updates()).toEqual([]);
      expect(r.pipeline.states()).toEqual(['down']);
    }
  });
});
