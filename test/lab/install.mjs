// Installs the lab's peers: Debian packages (their daemons are not started), Go programs and the Kafka broker's jars.
// Plain JavaScript for any Node from 18 on, because it may run before `npm ci`. Quick when everything is there.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const peers = JSON.parse(readFileSync(join(here, 'peers.json'), 'utf8'));
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidegate-lab');
const bin = join(cache, 'bin');
const POLICY = '/usr/sbin/policy-rc.d';

class Missing extends Error {}

const say = (text) => process.stdout.write(`lab: ${text}\n`);

function find(command) {
  if (command.startsWith('/')) return existsSync(command) ? command : undefined;
  const folders = [
    '/usr/lib/frr',
    '/usr/local/sbin',
    '/usr/sbin',
    '/sbin',
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  return folders.map((folder) => join(folder, command)).find((file) => existsSync(file));
}

/** Runs a program quietly; what it said is shown only when it fails. A failing step is tried a second time. */
function run(file, args, options = {}) {
  for (let attempt = 1; ; attempt++) {
    const done = spawnSync(file, args, { encoding: 'utf8', timeout: 900_000, maxBuffer: 1 << 26, ...options });
    if (done.status === 0) return done.stdout;
    const said = `${done.error ?? ''}${done.stdout ?? ''}${done.stderr ?? ''}`.trim().split('\n').slice(-15).join('\n');
    if (attempt === 2) throw new Missing(`\`${file} ${args.join(' ')}\` failed twice:\n${said}`);
    say(`\`${file} ${args[0]}\` failed, once more`);
  }
}

function debianPackages() {
  const wanted = Object.entries(peers.commands).filter(([command]) => !find(command));
  if (wanted.length === 0) return say('Debian packages: all there');
  const names = [...new Set(wanted.map(([, name]) => name))];
  if (!find('apt-get')) throw new Missing(`this machine has no apt-get; install by hand: ${names.join(' ')}`);
  if (process.getuid?.() !== 0) throw new Missing(`installing ${names.join(' ')} needs root`);
  // A package's start-up script asks this file whether it may start its daemon. One that is there already is left alone.
  const ours = !existsSync(POLICY);
  if (ours) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['update', '-q'], { env });
    run('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...names], { env });
  } finally {
    if (ours) rmSync(POLICY, { force: true });
  }
  const missing = wanted.filter(([command]) => !find(command)).map(([command]) => command);
  if (missing.length > 0)
    throw new Missing(`installed ${names.join(' ')}, but these commands are not there: ${missing.join(' ')}`);
  say(`Debian packages: installed ${names.join(' ')}`);
}

function goProgram(go, name, pinned) {
  const [path, version] = pinned.split('@');
  const file = join(bin, name);
  if (existsSync(file)) {
    // What a Go program was built from stands in it, so that a changed pin or a torn file is built again.
    const built = spawnSync(go, ['version', '-m', file], { encoding: 'utf8' });
    if (built.status === 0 && built.stdout.includes(`\tpath\t${path}\n`) && built.stdout.includes(`\t${version}`))
      return say(`${name} ${version}: there`);
  }
  run(go, ['install', pinned], { cwd: cache, env: { ...process.env, GOBIN: bin } });
  say(`${name} ${version}: built`);
}

function goPrograms() {
  const go = find('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined);
  if (!go) throw new Missing(`Go is not on this machine (needed to build ${Object.keys(peers.go).join(', ')})`);
  for (const [name, pinned] of Object.entries(peers.go)) goProgram(go, name, pinned);
}

async function kafka() {
  const { ensureKafka } = await import('./install-kafka.mjs');
  try {
    await ensureKafka();
  } catch {
    say('the Kafka jars failed, once more');
    await ensureKafka();
  }
  say('Kafka broker: there');
}

function namespaces() {
  const name = `tg-${process.pid}-try`;
  try {
    execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' });
    execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' });
  } catch (error) {
    throw new Missing(
      `network namespaces cannot be made here (root is needed): ${String(error.stderr ?? error).trim()}`,
    );
  }
  say('network namespaces: usable');
}

try {
  mkdirSync(bin, { recursive: true });
  debianPackages();
  namespaces();
  goPrograms();
  await kafka();
} catch (error) {
  say(error instanceof Missing ? `cannot be had: ${error.message}` : `failed: ${error.stack ?? error}`);
  process.exitCode = 1;
}
