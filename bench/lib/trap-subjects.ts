/** The programs of the trap bench: each is started with one listener for v2c or v3 and told where to send what it receives. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KafkaLab } from '../../test/lab/kafka.ts';
import { labBin, NODE } from '../../test/lab/peers.ts';
import { freePort, Tidegate } from '../../test/lab/tidegate.ts';
import { mibFolder, type Translator, telegrafConfig } from './telegraf.ts';
import { engineId, V3_USER } from './v3-user.ts';

export type Version = 'v2c' | 'v3';

export interface Subject {
  name: string;
  pid: number;
  port: number;
  /** Topic it writes to; absent where it writes a file. */
  topic: string | undefined;
  /** Events that arrived where it writes to. */
  arrived: () => Promise<number>;
  stop: () => Promise<void>;
}

export interface Setting {
  lab: KafkaLab;
  /** A folder for configurations and logs. */
  dir: string;
  version: Version;
  sources: number;
}

const here = (file: string): string => new URL(file, import.meta.url).pathname;

function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

function stopper(child: ChildProcess): () => Promise<void> {
  return async () => {
    child.kill();
    await gone(child);
  };
}

/** Messages in a topic now. */
function messages(lab: KafkaLab, topic: string): () => Promise<number> {
  return async () => {
    const offsets = await lab.admin((a) => a.fetchTopicOffsets(topic));
    return offsets.reduce((n, p) => n + Number(p.high) - Number(p.low), 0);
  };
}

/** `profile`: a folder for CPU profiles of its processes and threads. */
export async function tidegate(s: Setting, linger?: string, profile?: string): Promise<Subject> {
  let env: NodeJS.ProcessEnv | undefined;
  if (profile !== undefined) {
    mkdirSync(profile, { recursive: true });
    // Workers that were started as root write it as somebody else.
    chmodSync(profile, 0o1777);
    env = { ...process.env, NODE_OPTIONS: `--import=${here('profile.mjs')}`, PROFILE_DIR: profile };
  }
  const { name, auth, authPassphrase, priv, privPassphrase } = V3_USER;
  const user = {
    name,
    auth: { protocol: auth, passphrase: authPassphrase },
    priv: { protocol: priv, passphrase: privPassphrase },
  };
  const access = s.version === 'v3' ? { users: [user] } : { communities: [{ name: 'public' }] };
  const t = await Tidegate.start({
    env,
    config: {
      collectors: { snmp_trap: { listen: ['127.0.0.1:0'], ...access } },
      admin: { listen: '127.0.0.1:0' },
      workers: 1,
      export: { kafka: { brokers: [s.lab.bootstrap()[0]], ...(linger ? { linger } : {}) } },
    },
  });
  const port = Number((t.ready!.listening as { address: string }[])[0].address.split(':')[1]);
  const topic = 'tidegate.snmp.trap.v1';
  return { name: 'tidegate', pid: t.pid, port, topic, arrived: messages(s.lab, topic), stop: () => t.close() };
}

export async function floor(s: Setting): Promise<Subject> {
  const child = spawn(NODE, [here('floor.ts'), s.lab.bootstrap()[0], 'floor'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const port: number = await new Promise((resolve) =>
    child.stdout.once('data', (d) => resolve(JSON.parse(String(d)).port)),
  );
  const topic = 'floor';
  return { name: 'floor', pid: child.pid!, port, topic, arrived: messages(s.lab, topic), stop: stopper(child) };
}

export async function telegraf(s: Setting, bin: string, translator: Translator): Promise<Subject> {
  const port = await freePort();
  const topic = `telegraf-${s.version}`;
  const { file, mibs } = telegrafConfig(s.dir, port, s.lab.bootstrap()[0], topic, translator, s.version);
  const env = { ...process.env, MIBDIRS: mibs };
  const child = spawn(bin, ['--config', file, '--quiet'], { stdio: ['ignore', 'ignore', 'inherit'], env });
  await new Promise((r) => setTimeout(r, 3000));
  return { name: 'telegraf', pid: child.pid!, port, topic, arrived: messages(s.lab, topic), stop: stopper(child) };
}

/** It has no Kafka: a line a trap goes to a log file. */
export async function snmptrapd(s: Setting): Promise<Subject> {
  const port = await freePort();
  const conf = join(s.dir, 'snmptrapd.conf');
  const log = join(s.dir, `snmptrapd-${s.version}.log`);
  const { name, authPassphrase, privPassphrase } = V3_USER;
  const users = Array.from(
    { length: s.sources },
    (_, i) =>
      `createUser -e 0x${engineId(i).toString('hex')} ${name} SHA-256 "${authPassphrase}" AES-256 "${privPassphrase}"`,
  );
  writeFileSync(
    conf,
    [
      ...(s.version === 'v3' ? [...users, `authUser log ${name} priv`] : ['authCommunity log public']),
      'format2 EVENT %B %v\\n',
      '',
    ].join('\n'),
  );
  const env = {
    ...process.env,
    MIBDIRS: mibFolder(s.dir),
    MIBS: '+IF-MIB',
    SNMP_PERSISTENT_DIR: s.dir,
    SNMPCONFPATH: s.dir,
  };
  const child = spawn(labBin('snmptrapd'), ['-f', '-C', '-c', conf, '-Lf', log, `udp:127.0.0.1:${port}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env,
  });
  await new Promise((r) => setTimeout(r, 2000));
  const arrived = async (): Promise<number> => {
    let n = 0;
    const text = readFileSync(log, 'latin1');
    for (let at = text.indexOf('EVENT '); at >= 0; at = text.indexOf('EVENT ', at + 6)) n++;
    return n;
  };
  return { name: 'snmptrapd', pid: child.pid!, port, topic: undefined, arrived, stop: stopper(child) };
}
