// `npm test`: type check, linter, unit tests and the lab. Plain JavaScript, so that any Node can start it; the tests themselves run on
// the Node of the `node` package. With CI=true or TIDEGATE_LAB_INSTALL=1 the lab's peers are installed first and nothing is skipped.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const repo = fileURLToPath(new URL('..', import.meta.url));
const local = join(repo, 'node_modules/.bin');
const args = process.argv.slice(2);
const nightly = args.includes('--nightly');
const filters = args.filter((a) => a !== '--nightly');
const install = process.env.CI === 'true' || process.env.TIDEGATE_LAB_INSTALL === '1';

const env = { ...process.env, PATH: `${local}${delimiter}${process.env.PATH}` };
if (nightly) env.TIDEGATE_NIGHTLY = '1';
// The lab starts the product some hundred times: what Node compiled once need not be compiled again. Workers read it as somebody else.
const compiled = mkdtempSync(join(tmpdir(), 'tidegate-compiled-'));
chmodSync(compiled, 0o755);
env.NODE_COMPILE_CACHE = compiled;
process.on('exit', () => rmSync(compiled, { recursive: true, force: true }));

const total = { passed: 0, failed: 0, skipped: 0 };
const wrong = [];
/** What failed, by name and first words of the reason: said again at the very end, where a long log is read. */
const failures = [];
/** How long each step and each file took: a budget is kept by who sees it. Nothing is judged by it. */
const started = Date.now();
const steps = [];
const files = [];
const SLOWEST = 12;

function step(name, file, argv) {
  console.log(`\n== ${name}`);
  const begun = Date.now();
  const done = spawnSync(file, argv, { cwd: repo, env, stdio: ['ignore', 'inherit', 'inherit'] });
  steps.push(`${name} ${duration(Date.now() - begun)}`);
  if (done.error) console.log(String(done.error));
  return done.status === 0;
}

/** `2m 05s`, `12.3s`. */
function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  return `${Math.floor(seconds / 60)}m ${String(Math.floor(seconds % 60)).padStart(2, '0')}s`;
}

/** A step that is no test of the runner counts as one failure when it fails. */
function check(name, file, argv) {
  if (step(name, file, argv)) return true;
  total.failed++;
  wrong.push(name);
  return false;
}

/** The beginning of a reason, indented: with the seed of a property, and the first lines of a stack. */
function words(text) {
  const lines = text.split('\n').slice(0, 25);
  return lines.map((line) => `    ${line.slice(0, 300)}`).join('\n');
}

/**
 * Runs one of vitest's projects and adds up what its JSON report says. `forgiving`: files in which something failed are left out of
 * the sum and returned, because they are run once more.
 */
function vitest(project, name = `${project} tests`, forgiving = false, only = filters) {
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-report-'));
  const report = join(dir, 'report.json');
  const ok = step(name, join(local, 'node'), [
    join(repo, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...['--project', project, '--reporter', 'default', '--reporter', 'json', `--outputFile.json=${report}`],
    ...(only.length > 0 ? ['--passWithNoTests'] : []),
    ...only,
  ]);
  let failed = 0;
  let read = false;
  const again = [];
  try {
    const json = JSON.parse(readFileSync(report, 'utf8'));
    read = true;
    for (const file of json.testResults) {
      const where = relative(repo, file.name);
      files.push({ where, ms: file.endTime - file.startTime });
      const of = (...states) => file.assertionResults.filter((t) => states.includes(t.status));
      const bad = of('failed');
      if (forgiving && file.status === 'failed') {
        again.push(where);
        for (const t of bad) console.log(`to be run once more, alone: ${where} > ${t.fullName}`);
        continue;
      }
      total.passed += of('passed').length;
      total.skipped += of('pending', 'skipped', 'todo', 'disabled').length;
      failed += bad.length;
      for (const t of bad) failures.push(`${where} > ${t.fullName}\n${words(t.failureMessages.join('\n'))}`);
      if (file.status === 'failed' && bad.length === 0) failures.push(`${where}\n${words(file.message ?? '')}`);
    }
    // A file that could not be loaded has no failed test of its own.
    failed += json.testResults.filter(
      (f) => !forgiving && f.status === 'failed' && f.assertionResults.every((t) => t.status !== 'failed'),
    ).length;
  } catch {
    console.log(`the ${project} tests left no report`);
  }
  if (!ok && failed === 0 && !(read && again.length > 0)) failed = 1;
  total.failed += failed;
  if (failed > 0) wrong.push(name);
  rmSync(dir, { recursive: true, force: true });
  return again;
}

/** What the lab needs and this machine has not. */
async function missing() {
  const peers = JSON.parse(readFileSync(join(repo, 'test/lab/peers.json'), 'utf8'));
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidegate-lab/bin');
  const folders = [cache, '/usr/lib/frr', '/usr/sbin', '/sbin', ...env.PATH.split(delimiter)];
  const names = [...Object.keys(peers.commands), ...Object.keys(peers.go)];
  // As peers.ts looks for them: a path is a file that is no command.
  const absent = names.filter((name) =>
    name.startsWith('/') ? !existsSync(name) : !folders.some((folder) => existsSync(join(folder, name))),
  );
  const { kafkaMissing } = await import('./lab/install-kafka.mjs');
  if (kafkaMissing() !== undefined) absent.push('kafka');
  return process.getuid?.() === 0 ? absent : ['root', ...absent];
}

if (!existsSync(join(local, 'node'))) {
  console.log('the dependencies are not installed: run `npm ci`');
  process.exit(1);
}
let lab = true;
if (install) {
  lab = check('lab: install', process.execPath, [join(repo, 'test/lab/install.mjs')]);
  env.TIDEGATE_LAB_REQUIRED = '1';
} else {
  const absent = await missing();
  lab = absent.length === 0;
  if (!lab) {
    console.log(`Skipped: the lab tests (test/lab). This machine lacks: ${absent.join(' ')}`);
    console.log('To install what they need and run everything: sudo env TIDEGATE_LAB_INSTALL=1 npm test');
  }
}
if (filters.length === 0) {
  check('type check', join(local, 'tsc'), ['--noEmit']);
  check('linter', join(local, 'biome'), ['check', '.']);
}
vitest('unit');
if (lab) {
  // Most of the lab waits for timers of protocols: of what bears neighbours three files run at a time.
  env.TIDEGATE_LAB_PART = 'beside';
  const again = vitest('lab', 'lab tests, three at a time', true);
  env.TIDEGATE_LAB_PART = 'alone';
  vitest('lab', 'lab tests, one at a time');
  delete env.TIDEGATE_LAB_PART;
  // What did not bear its neighbours runs once more, alone, is named, and fails for good if it fails again.
  if (again.length > 0) {
    vitest('lab', 'lab tests, once more', false, again);
    console.log(`\nNeeded a second run: ${again.join(', ')}`);
  }
}

const slowest = files.filter((f) => f.ms > 0).sort((a, b) => b.ms - a.ms);
if (slowest.length > 1) console.log('\nSlowest files');
for (const f of slowest.slice(0, slowest.length > 1 ? SLOWEST : 0))
  console.log(`${duration(f.ms).padStart(9)}  ${f.where}`);
console.log(`\n${duration(Date.now() - started)} in all: ${steps.join(', ')}`);

for (const failure of failures) console.log(`\nFAILED ${failure}`);
if (wrong.length > 0) console.log(`\nFailed: ${wrong.join(', ')}`);
console.log(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exitCode = total.failed > 0 ? 1 : 0;
