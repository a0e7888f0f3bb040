/** The gNMI collector against openconfig's fake target: what it was told to say is what the events say. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Rig, rig, until } from '../collectors/gnmi/harness.ts';
import { EXPECTED, SCRIPT } from './gnmi-script.ts';
import { labAvailable, labBin } from './peers.ts';
import { Proc } from './proc.ts';

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
