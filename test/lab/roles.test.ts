/**
 * Ingest and speaker on their own, as the chart's profile `host` runs them: ingest as a user without any capability, the speaker as root with
 * NET_RAW and NET_ADMIN and nothing else, both in one data_dir, FRR as the router. Every verb works as it does for a whole instance.
 */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin, REPO } from './peers.ts';
import { exec } from './proc.ts';
import { listening, Tidegate, type TidegateOptions } from './tidegate.ts';
import { waitFor } from './wait.ts';

/** As `host.uid`, and not the image's own user. */
const UID = 10002;
const VIP = '203.0.113.10';
const ROUTER = '10.1.0.1';
const NODE = '10.1.0.2';

interface LbStatus {
  decision: { grade: string; reasons: string[] };
  draining: boolean;
  drain?: { phase: string };
  grade?: string;
  peers?: { peer: string; state: string }[];
  vips?: { announced: boolean; last_packet?: number; error?: string }[];
  workers?: { state: string }[];
}
interface Finding {
  at: string;
  severity: string;
  cause: string;
  fix?: string;
}

describe.skipIf(!labAvailable('ip', 'bgpd', 'zebra', 'vtysh', 'snmptrap'))('roles on their own', () => {
  let lab: Lab;
  let router: Namespace;
  let node: Namespace;
  let frr: Frr;
  let repo: string;
  let ingest: Tidegate;
  let speaker: Tidegate;

  /** Words that make a command run as a container would. The checkout may be where the user could not get. */
  const as = (uid: number, gid: number, ...capabilities: string[]): string[] => [
    ...['unshare', '-m', 'sh', '-ec', `mount --bind ${REPO} ${repo}; exec "$@"`, 'sh'],
    ...['setpriv', '--reuid', String(uid), '--regid', String(gid), '--groups', String(gid), '--no-new-privs'],
    ...['--inh-caps', '-all', '--bounding-set', ['-all', ...capabilities.map((c) => `+${c}`)].join(',')],
  ];
  const user = () => as(UID, UID);
  const speakers = (gid = UID) => as(0, gid, 'net_raw', 'net_admin');
  const command = () => [join(repo, 'node_modules/.bin/node'), join(repo, 'src/main.ts')];

  const config = (more: object = {}) => ({
    node: 'edge-1',
    user: `${UID}:${UID}`,
    workers: 2,
    admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
    collectors: { snmp_trap: { listen: [{ vip: 'ingress', port: 1162 }], communities: [{ name: 'public' }] } },
    lb: {
      rise: '200ms',
      drain: { linger: '300ms', timeout: '10s' },
      vips: [{ name: 'ingress', addresses: [`${VIP}/32`] }],
      bgp: { asn: 64512, peers: [{ address: ROUTER, asn: 64500, connect_retry: '1s' }] },
    },
    ...more,
  });

  /** A folder with a data_dir as the chart's init container leaves it. */
  function folder(name: string): string {
    const dir = join(lab.dir, name);
    mkdirSync(join(dir, 'data'), { recursive: true });
    chownSync(join(dir, 'data'), UID, UID);
    chmodSync(join(dir, 'data'), 0o2770);
    return dir;
  }

  const start = (dir: string, role: string, wrap: string[], more: Partial<TidegateOptions> = {}) =>
    Tidegate.start({ ns: node, dir, config: config(), wrap, command: command(), args: ['--role', role], ...more });

  /** A verb in a container of its own, as `kubectl exec` runs it. */
  async function verb(wrap: string[], ...words: string[]) {
    const argv = [...node.prefix, ...wrap, ...command(), ...words, '-c', ingest.configFile];
    return exec(argv, { allowFailure: true, cwd: '/' });
  }
  async function json<T>(wrap: string[], ...words: string[]): Promise<T> {
    const done = await verb(wrap, ...words, '-o', 'json');
    expect({ code: done.code, stderr: done.stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(done.stdout) as T;
  }
  const lb = () => json<LbStatus>(user(), 'lb', 'status');
  const explained = async () => (await json<{ findings: Finding[] }>(user(), 'explain', ROUTER)).findings;
  const full = () =>
    waitFor(async () => (await lb()).decision.grade === 'full', 'the node to be full', { ceiling: 60_000 });

  beforeAll(async () => {
    lab = new Lab();
    repo = join(lab.dir, 'repo');
    mkdirSync(repo);
    [router, node] = [lab.namespace('router'), lab.namespace('node')];
    lab.link(
      { ns: router, dev: 'eth0', addresses: [`${ROUTER}/24`] },
      { ns: node, dev: 'eth0', addresses: [`${NODE}/24`] },
    );
    frr = await Frr.start(router, {
      config: [
        'router bgp 64500',
        ` bgp router-id ${ROUTER}`,
        ' no bgp ebgp-requires-policy',
        ` neighbor ${NODE} remote-as 64512`,
        ` neighbor ${NODE} timers connect 1`,
      ].join('\n'),
    });
  });
  afterAll(async () => {
    await ingest?.close();
    await speaker?.close();
    await lab?.close();
  });

  it('the speaker is ready when it is heard; ingest gets its lease and the router its route', async () => {
    const dir = folder('node');
    speaker = await start(dir, 'speaker', speakers());
    // The child says so before its supervisor is ready.
    const said = speaker.logs.map((l) => (l.process === 'speaker' ? 'speaker' : l.msg)).filter((m) => m !== undefined);
    expect(said.indexOf('speaker')).toBeGreaterThanOrEqual(0);
    expect(said.indexOf('speaker')).toBeLessThan(said.indexOf('ready'));
    ingest = await start(dir, 'ingest', user());
    await frr.waitPaths('ipv4', `${VIP}/32`, 1);
    await full();
    const status = await lb();
    expect(status).toMatchObject({
      grade: 'full',
      draining: false,
      peers: [{ peer: ROUTER, state: 'Established' }],
      vips: [{ announced: true }],
      workers: [{ state: 'fresh' }, { state: 'fresh' }],
    });
    expect(listening(ingest, 'snmp_trap')).toEqual([`${VIP}:1162`]);
    const trap = ['-v2c', '-c', 'public', `${VIP}:1162`, '1', '1.3.6.1.6.3.1.1.5.3'];
    await router.exec([labBin('snmptrap'), ...trap], { env: { MIBS: '' } });
    await ingest.waitEvents((e) => e.type === 'snmp.trap.v1', 1);
    await waitFor(async () => (await lb()).vips?.[0].last_packet, 'the VIP to be seen in use');
    const shown = await verb(user(), 'status');
    expect(shown.stdout).toMatch(/grade full/);
    expect(shown.stdout).toMatch(new RegExp(`${ROUTER} +\\d+ +Established`));
    expect((await explained()).filter((f) => f.severity === 'problem')).toEqual([]);
  });

  it('drain and undrain from ingest: announced worse, then not at all, then fully again', async () => {
    expect(await json(user(), 'lb', 'drain')).toMatchObject({ draining: true });
    await waitFor(async () => (await lb()).drain?.phase === 'drained', 'the node to be drained');
    await frr.waitPaths('ipv4', `${VIP}/32`, 0);
    expect(await lb()).toMatchObject({ draining: true, decision: { grade: 'dead' } });
    expect((await explained()).find((f) => f.at === 'vip')?.cause).toMatch(/this node is dead for its VIPs: .*drain/);
    expect(await json(user(), 'lb', 'undrain')).toMatchObject({ draining: false });
    await frr.waitPaths('ipv4', `${VIP}/32`, 1);
    await full();
    expect((await lb()).draining).toBe(false);
  });

  it('drained at the speaker’s own door, ingest knows and can take it back', async () => {
    expect(await json(speakers(), 'lb', 'drain')).toMatchObject({ draining: true });
    await waitFor(async () => (await lb()).drain?.phase === 'drained', 'the node to be drained');
    const { workers } = await json<{ workers: { soft: string[] }[] }>(user(), 'status');
    expect(workers.map((w) => w.soft)).toEqual([['draining'], ['draining']]);
    await json(user(), 'lb', 'undrain');
    await frr.waitPaths('ipv4', `${VIP}/32`, 1);
    expect(await json(speakers(), 'lb', 'status')).toMatchObject({ draining: false });
    await full();
  });

  it('a speaker that is killed is said by every verb; started again it goes on with the drain that ingest knows of', async () => {
    await json(user(), 'lb', 'drain');
    await speaker.kill9();
    await frr.waitPaths('ipv4', `${VIP}/32`, 0);
    const gone = await waitFor(async () => {
      const now = await lb();
      return now.decision.reasons[0]?.includes('cannot be reached') ? now : undefined;
    }, 'the loss of the speaker');
    expect(gone.decision).toMatchObject({ grade: 'dead', reasons: [expect.stringMatching(/speaker\.sock/)] });
    const causes = (await explained()).filter((f) => f.severity === 'problem').map((f) => `${f.cause} ${f.fix}`);
    expect(causes.join('\n')).toMatch(/cannot renew its lease.*--role speaker/);
    speaker = await speaker.restart();
    await waitFor(async () => (await lb()).drain?.phase === 'drained', 'the drain to go on');
    expect(await lb()).toMatchObject({ draining: true });
    await json(user(), 'lb', 'undrain');
    await frr.waitPaths('ipv4', `${VIP}/32`, 1);
  });

  it('SIGTERM to ingest: the route goes first, exit 0; started again it is full although its predecessor left', async () => {
    expect(await ingest.sigterm()).toEqual({ code: 0, signal: null });
    await frr.waitPaths('ipv4', `${VIP}/32`, 0);
    expect(speaker.logs.some((l) => l.msg === 'drain' && l.to === 'drained')).toBe(true);
    ingest = await ingest.restart();
    await frr.waitPaths('ipv4', `${VIP}/32`, 1);
    await full();
    expect((await lb()).draining).toBe(false);
  });

  it('SIGTERM to the speaker: withdrawn, its address gone, exit 0; ingest says that nothing is announced', async () => {
    expect(node.ip('address', 'show', 'dev', 'lo')).toContain(VIP);
    expect(await speaker.sigterm()).toEqual({ code: 0, signal: null });
    await frr.waitPaths('ipv4', `${VIP}/32`, 0);
    expect(node.ip('address', 'show', 'dev', 'lo')).not.toContain(VIP);
    expect((await lb()).decision.grade).toBe('dead');
    expect(await ingest.sigterm()).toEqual({ code: 0, signal: null });
  });

  it('a user that does not fit: the speaker says what to set, and is not ready', async () => {
    const dir = folder('misfit');
    const wrong = await start(dir, 'speaker', speakers(), { config: config({ user: '10077' }), noWait: true });
    try {
      const line = await wrong.waitLog((l) => /cannot run/.test(l.msg ?? ''), 'the reason');
      expect(line.error).toMatch(/group 10077, that of `user: 10077`.*set `user:` to who runs ingest/);
      expect(wrong.ready).toBeUndefined();
    } finally {
      await wrong.close();
    }
  });

  it('a data_dir of somebody else is named with whose it has to be', async () => {
    const dir = folder('foreign');
    const lock = join(dir, 'data', 'children');
    writeFileSync(lock, '', { mode: 0o600 });
    const t = await start(dir, 'ingest', user(), { noWait: true });
    try {
      expect(await t.proc.exited).toMatchObject({ code: 78 });
      expect(t.said()).toMatch(/data_dir .*must be writable for uid 10002/);
    } finally {
      await t.close();
    }
  });

  it('the whole as a user without any capability: receives, and says what it lacks', async () => {
    const dir = folder('whole');
    const listen = { collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } } };
    const t = await start(dir, 'all', user(), { config: config(listen) });
    try {
      const trap = ['-v2c', '-c', 'public', listening(t, 'snmp_trap')[0], '1', '1.3.6.1.6.3.1.1.5.3'];
      await node.exec([labBin('snmptrap'), ...trap], { env: { MIBS: '' } });
      await t.waitEvents((e) => e.type === 'snmp.trap.v1', 1);
      const argv = [...node.prefix, ...user(), ...command(), 'explain', ROUTER, '-o', 'json', '-c', t.configFile];
      const { findings } = JSON.parse((await exec(argv, { cwd: '/' })).stdout) as { findings: Finding[] };
      const unbound = findings.find((f) => /cannot be bound/.test(f.cause));
      expect(`${unbound?.cause} ${unbound?.fix}`).toMatch(/EPERM.*CAP_NET_ADMIN/);
      expect(await t.sigterm()).toEqual({ code: 0, signal: null });
    } finally {
      await t.close();
    }
  });
});
