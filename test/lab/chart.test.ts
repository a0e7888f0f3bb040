/** The Helm chart, rendered by the real helm for each values file of charts/tidegate/ci, and what its profiles promise. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { autoWorkers } from '../../src/process/auto-workers.ts';
import { labAvailable, labBin, REPO } from './peers.ts';
import { exec } from './proc.ts';
import { tidegateCli } from './tidegate.ts';

const CHART = join(REPO, 'charts/tidegate');
const CASES = readdirSync(join(CHART, 'ci'))
  .filter((f) => f.endsWith('-values.yaml'))
  .map((f) => f.replace('-values.yaml', ''));
// Built from the module, helm believes in an old Kubernetes unless it is told.
const KUBE = ['--kube-version', '1.34.0'];

interface SecurityContext {
  privileged?: boolean;
  allowPrivilegeEscalation?: boolean;
  readOnlyRootFilesystem?: boolean;
  runAsNonRoot?: boolean;
  runAsUser?: number;
  runAsGroup?: number;
  fsGroup?: number;
  capabilities?: { add?: string[]; drop?: string[] };
  seccompProfile?: { type: string };
  sysctls?: { name: string; value: string }[];
}
interface Container {
  name: string;
  args?: string[];
  env?: { name: string; value?: string; valueFrom?: unknown }[];
  ports?: { containerPort: number; hostPort?: number }[];
  livenessProbe?: { httpGet: { path: string } };
  readinessProbe?: { httpGet: { path: string } };
  lifecycle?: { preStop: { exec: { command: string[] } } };
  resources?: { limits: Record<string, string> };
  securityContext: SecurityContext;
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
}
interface PodSpec {
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  automountServiceAccountToken?: boolean;
  terminationGracePeriodSeconds: number;
  securityContext: SecurityContext;
  affinity?: { podAntiAffinity?: Record<string, unknown[]> };
  topologySpreadConstraints?: unknown[];
  containers: Container[];
  initContainers?: Container[];
  volumes: { name: string; hostPath?: { path: string }; emptyDir?: object; secret?: object; configMap?: object }[];
}
interface Manifest {
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  data?: Record<string, string>;
  spec: Record<string, unknown> & {
    selector?: { matchLabels: Record<string, string> } & Record<string, unknown>;
    template?: { metadata: { labels: Record<string, string>; annotations: Record<string, string> }; spec: PodSpec };
  };
}

const values = (name: string) => join(CHART, 'ci', `${name}-values.yaml`);

async function render(...args: string[]): Promise<Manifest[]> {
  const done = await exec([labBin('helm'), 'template', 'edge', CHART, '--namespace', 'telco', ...KUBE, ...args]);
  const docs = parseAllDocuments(done.stdout);
  if (!Array.isArray(docs)) return [];
  for (const d of docs) expect(d.errors).toEqual([]);
  return docs.map((d) => d.toJS() as Manifest | null).filter((m) => m !== null);
}

const fails = (...args: string[]) => expect(render(...args)).rejects;

function workload(all: Manifest[]): Manifest {
  const found = all.filter((m) => m.kind === 'StatefulSet' || m.kind === 'DaemonSet');
  expect(found).toHaveLength(1);
  return found[0];
}

/** Every container that runs under Pod Security `restricted`. */
function isRestricted(c: SecurityContext): void {
  expect(c).toMatchObject({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  });
  expect(c.capabilities?.add ?? []).toEqual([]);
  expect(c.privileged ?? false).toBe(false);
  expect(c.runAsUser).not.toBe(0);
}

describe.skipIf(!labAvailable('helm'))('chart', () => {
  let dir: string;
  const rendered = new Map<string, Manifest[]>();

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'tidegate-chart-'));
    for (const name of CASES) rendered.set(name, await render('-f', values(name)));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const of = (name: string) => rendered.get(name)!;
  const podSpec = (name: string) => workload(of(name)).spec.template!.spec;

  it('has both profiles among its cases', () => {
    expect(CASES.length).toBeGreaterThanOrEqual(4);
    const kinds = new Set(CASES.map((c) => workload(of(c)).kind));
    expect(kinds).toEqual(new Set(['StatefulSet', 'DaemonSet']));
  });

  it('admin.api: listens with TLS and a login, has its port, and is refused without either', async () => {
    const file = join(dir, 'api.yaml');
    const api = {
      enabled: true,
      tls: { cert: '/etc/tidegate/secrets/api/tls.crt', key: '/etc/tidegate/secrets/api/tls.key', clientCa: '' },
      tokens: [{ name: 'noc', role: 'viewer', token: '${file:/etc/tidegate/secrets/api/noc}' }],
    };
    const write = (admin: object) => writeFileSync(file, JSON.stringify({ admin, secrets: [{ name: 'api' }] }));
    for (const profile of ['pod', 'host']) {
      write({ api });
      const all = await render('-f', file, '--set', `profile=${profile}`);
      const text = all.find((m) => m.kind === 'ConfigMap')!.data!['tidegate.yaml'];
      expect((parse(text) as { admin: object }).admin).toMatchObject({
        api: {
          listen: '0.0.0.0:9443',
          tls: { cert: api.tls.cert, key: api.tls.key },
          tokens: api.tokens,
        },
      });
      const ports = workload(all).spec.template!.spec.containers.map((c) =>
        (c as unknown as { ports: { name: string }[] }).ports.map((p) => p.name).includes('api'),
      );
      expect(ports.filter(Boolean)).toHaveLength(1);
      expect(JSON.stringify(all.filter((m) => m.kind === 'Service'))).toContain('"targetPort":"api"');
    }
    write({ api: { ...api, tokens: [] } });
    await fails('-f', file).toThrow(/somebody who can log in/);
    write({ api: { ...api, tls: { cert: '', key: '', clientCa: '' } } });
    await fails('-f', file).toThrow(/certificate's file/);
    // A token in clear would stand in a ConfigMap.
    write({ api: { ...api, tokens: [{ ...api.tokens[0], token: 'not-a-secret-any-more' }] } });
    await fails('-f', file).toThrow(/token/);
    expect(JSON.stringify(of('pod-default'))).not.toContain('9443');
  });

  it.each(CASES)('%s: helm lint', async (name) => {
    const done = await exec([labBin('helm'), 'lint', '--strict', CHART, '-f', values(name), ...KUBE]);
    expect(done.stdout).toContain('0 chart(s) failed');
  });

  it.each(CASES)('%s: what every profile promises', (name) => {
    const all = of(name);
    const main = workload(all);
    const template = main.spec.template!;
    expect(template.metadata.labels).toMatchObject(main.spec.selector!.matchLabels);
    expect(template.metadata.annotations['checksum/config']).toMatch(/^[0-9a-f]{64}$/);
    expect(template.spec.automountServiceAccountToken).toBe(false);
    expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(60);
    for (const c of template.spec.containers) {
      expect(c.livenessProbe?.httpGet.path).toBe('/livez');
      expect(c.readinessProbe?.httpGet.path).toBe('/readyz');
      expect(c.env?.map((e) => e.name)).toContain('TIDEGATE_NODE');
      expect(c.securityContext.capabilities?.drop).toEqual(['ALL']);
      expect(c.securityContext.readOnlyRootFilesystem).toBe(true);
      // The root is read-only, so each place that is written to is a volume.
      expect(c.volumeMounts.filter((m) => !m.readOnly).map((m) => m.mountPath)).toEqual(['/var/lib/tidegate', '/tmp']);
    }
    expect(template.spec.containers[0].lifecycle?.preStop.exec.command.join(' ')).toContain('tidegate lb drain');
    const claims = ((main.spec.volumeClaimTemplates ?? []) as Manifest[]).map((c) => c.metadata.name);
    const volumes = [...template.spec.volumes.map((v) => v.name), ...claims];
    for (const c of [...template.spec.containers, ...(template.spec.initContainers ?? [])])
      for (const m of c.volumeMounts) expect(volumes).toContain(m.name);
    for (const m of all) expect(m.metadata.labels?.['app.kubernetes.io/name'], m.kind).toBe('tidegate');
  });

  it.each(CASES.filter((c) => c.startsWith('pod')))('%s: contains nothing restricted-v2 refuses', (name) => {
    const all = of(name);
    const spec = podSpec(name);
    for (const key of ['hostNetwork', 'hostPID', 'hostIPC'] as const) expect(spec[key] ?? false).toBe(false);
    expect(spec.volumes.filter((v) => v.hostPath !== undefined)).toEqual([]);
    expect(spec.initContainers ?? []).toEqual([]);
    expect(spec.securityContext.runAsNonRoot).toBe(true);
    for (const c of spec.containers) {
      isRestricted(c.securityContext);
      // OpenShift gives each namespace a range of its own.
      expect(c.securityContext.runAsUser).toBeUndefined();
      for (const p of c.ports ?? []) expect(p.hostPort).toBeUndefined();
    }
    expect(spec.securityContext.runAsUser).toBeUndefined();
    // Kubernetes' safe sysctls only.
    for (const s of spec.securityContext.sysctls ?? []) expect(s.name).toBe('net.ipv4.ip_unprivileged_port_start');
    expect(all.map((m) => m.kind)).not.toContain('SecurityContextConstraints');
    expect(all.filter((m) => /Role/.test(m.kind))).toEqual([]);
    expect(all.map((m) => m.kind)).toContain('PodDisruptionBudget');
    expect(spec.affinity?.podAntiAffinity).toBeDefined();
    expect(spec.topologySpreadConstraints).toHaveLength(1);
    const main = workload(all);
    expect((main.spec.volumeClaimTemplates as Manifest[])[0].metadata.name).toBe('data');
    const headless = all.find((m) => m.kind === 'Service' && m.metadata.name === main.spec.serviceName);
    expect(headless?.spec.clusterIP).toBe('None');
    expect(spec.containers).toHaveLength(1);
    expect(spec.containers[0].args).toEqual(expect.arrayContaining(['--role', 'all']));
  });

  it('pod-multus-bgp: OpenShift chooses the group, Multus brings the virtual IP', () => {
    const main = workload(of('pod-multus-bgp'));
    expect(main.spec.template!.spec.securityContext.fsGroup).toBeUndefined();
    const networks = JSON.parse(main.spec.template!.metadata.annotations['k8s.v1.cni.cncf.io/networks']) as object[];
    expect(networks).toEqual([
      { name: 'ran-vlan100', namespace: 'telco', interface: 'net1', ips: ['203.0.113.10/32', '2001:db8::10/128'] },
    ]);
    expect(of('pod-multus-bgp').find((m) => m.kind === 'ServiceMonitor')?.metadata.labels?.release).toBe('prometheus');
  });

  it.each(CASES.filter((c) => c.startsWith('host')))(
    '%s: only the speaker has privileges, and only its own',
    (name) => {
      const spec = podSpec(name);
      expect(spec.hostNetwork).toBe(true);
      expect(spec.hostPID ?? false).toBe(false);
      expect(spec.hostIPC ?? false).toBe(false);
      expect(spec.containers.map((c) => c.name)).toEqual(['ingest', 'speaker']);
      const [ingest, speaker] = spec.containers;
      isRestricted(ingest.securityContext);
      expect(ingest.securityContext.runAsUser).toBe(spec.securityContext.fsGroup);
      // The speaker gives its socket to the group in `user`, and only a member may.
      const user = `${ingest.securityContext.runAsUser}:${ingest.securityContext.runAsGroup}`;
      expect(parse(of(name).find((m) => m.kind === 'ConfigMap')!.data!['tidegate.yaml'])).toMatchObject({ user });
      expect(speaker.securityContext.runAsGroup).toBe(ingest.securityContext.runAsGroup);
      expect(ingest.args).toEqual(expect.arrayContaining(['--role', 'ingest']));
      expect(speaker.args).toEqual(expect.arrayContaining(['--role', 'speaker']));
      expect(speaker.securityContext).toMatchObject({ runAsUser: 0, allowPrivilegeEscalation: false });
      expect(speaker.securityContext.capabilities?.add).toEqual(['NET_RAW', 'NET_ADMIN']);
      expect(speaker.securityContext.privileged ?? false).toBe(false);
      expect(spec.volumes.filter((v) => v.hostPath !== undefined)).toHaveLength(1);
      // The socket between the two is in the data they share.
      for (const c of spec.containers)
        expect(c.volumeMounts).toContainEqual({ name: 'data', mountPath: '/var/lib/tidegate' });
      for (const c of spec.initContainers ?? []) {
        expect(c.securityContext.capabilities).toEqual({ drop: ['ALL'], add: ['CHOWN', 'FOWNER', 'FSETID'] });
        expect(c.volumeMounts.map((m) => m.name)).toEqual(['data']);
      }
    },
  );

  it('host-bgp: its SCC is no `privileged`', () => {
    const scc = of('host-bgp').find((m) => m.kind === 'SecurityContextConstraints') as unknown as Record<
      string,
      unknown
    >;
    expect(scc).toMatchObject({
      allowPrivilegedContainer: false,
      allowHostPID: false,
      allowPrivilegeEscalation: false,
    });
    const needed = [...podSpec('host-bgp').containers, ...podSpec('host-bgp').initContainers!].flatMap(
      (c) => c.securityContext.capabilities?.add ?? [],
    );
    expect(new Set(scc.allowedCapabilities as string[])).toEqual(new Set(needed));
  });

  it('workers: bounded by the memory limit, or the number that is given', async () => {
    const workers = async (...args: string[]) => {
      const all = await render('-f', values('host-bgp'), ...args);
      return (parse(all.find((m) => m.kind === 'ConfigMap')!.data!['tidegate.yaml']) as { workers: unknown }).workers;
    };
    expect(await workers()).toBe('auto');
    expect(await workers('--set', 'workers=3')).toBe(3);
    await fails('-f', values('pod-default'), '--set', 'workers=0').toThrow(/workers/);
    await fails('-f', values('pod-default'), '--set', 'config.workers=3').toThrow(/config.workers is set by the chart/);
    // What the defaults give `auto` on the largest node fits into their own limit.
    const { limits } = workload(of('pod-default')).spec.template!.spec.containers[0].resources!;
    const bytes = Number(/^(\d+)Gi$/.exec(limits.memory)![1]) * 2 ** 30;
    const { workers: most } = autoWorkers(256, bytes);
    expect(most).toBeGreaterThanOrEqual(8);
    expect(200 * 2 ** 20 + most * 160 * 2 ** 20).toBeLessThanOrEqual(bytes);
  });

  it('host.uid: another user than the image’s is the same everywhere', async () => {
    const all = await render('-f', values('host-bgp'), '--set', 'host.uid=20002');
    expect(JSON.stringify(all)).not.toContain('10001');
    const text = all.find((m) => m.kind === 'ConfigMap')!.data!['tidegate.yaml'];
    expect(parse(text)).toMatchObject({ user: '20002:20002' });
    const [ingest, speaker] = workload(all).spec.template!.spec.containers;
    expect(ingest.securityContext).toMatchObject({ runAsUser: 20002, runAsGroup: 20002 });
    expect(speaker.securityContext).toMatchObject({ runAsUser: 0, runAsGroup: 20002 });
  });

  it('refuses values it does not know', async () => {
    await fails('-f', values('pod-default'), '--set', 'replicas=3').toThrow(/replicas/);
    await fails('-f', values('pod-default'), '--set', 'profile=both').toThrow(/profile/);
    await fails('-f', values('pod-default'), '--set', 'pod.multus.enabled=true').toThrow(/pod.multus.network/);
    await fails('-f', values('pod-default'), '--set', 'config.data_dir=/x').toThrow(
      /config.data_dir is set by the chart/,
    );
    await fails('-f', values('host-kafka-tls'), '--set', 'serviceMonitor.enabled=true').toThrow(
      /needs service.enabled/,
    );
  });

  it.each(CASES)('%s: tidegate accepts the rendered configuration', async (name) => {
    let text = of(name).find((m) => m.kind === 'ConfigMap')!.data!['tidegate.yaml'];
    expect(parse(text)).toMatchObject({
      data_dir: '/var/lib/tidegate',
      node: expect.stringContaining('TIDEGATE_NODE'),
    });
    // What Secrets bring in the cluster.
    for (const [, file] of text.matchAll(/\$\{file:([^}]+)\}/g)) {
      const local = join(dir, file);
      mkdirSync(dirname(local), { recursive: true });
      const pem = ['-subj', '/CN=test', '-days', '2', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
      if (file.endsWith('.key')) {
        const cert = join(dirname(local), 'tls.crt');
        await exec(['openssl', 'req', '-x509', ...pem, '-keyout', local, '-out', cert]);
        writeFileSync(join(dirname(local), 'ca.crt'), readFileSync(cert));
      }
      text = text.replaceAll(`\${file:${file}}`, `\${file:${local}}`);
    }
    text = text.replaceAll('/var/lib/tidegate', join(dir, 'data'));
    const file = join(dir, `${basename(name)}.yaml`);
    writeFileSync(file, text);
    const done = await tidegateCli(['check', '-c', file], {
      env: { TIDEGATE_NODE: 'node-1', KAFKA_PASSWORD: 'never-printed' },
    });
    expect(`${done.stdout}${done.stderr}`).not.toContain('never-printed');
    expect({ code: done.code, said: done.code === 0 ? '' : `${done.stdout}${done.stderr}` }).toEqual({
      code: 0,
      said: '',
    });
  });
});
