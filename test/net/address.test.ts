import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = process.getuid?.() === 0;
const namespace = `tgaddr${process.pid}`;
const script = new URL('./fixtures/addresses.ts', import.meta.url).pathname;

describe.runIf(root)('VIP addresses, in a network namespace', () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  });
  afterAll(() => {
    execFileSync('ip', ['netns', 'delete', namespace]);
  });

  for (const driver of ['netlink', 'command']) {
    it(`adds, lists and removes by ${driver}; repeats are done already; sockets opened before serve`, () => {
      const text = execFileSync('ip', ['netns', 'exec', namespace, process.execPath, script, driver], {
        encoding: 'utf8',
      });
      const loopback = ['127.0.0.1/8', '::1/128'];
      expect(JSON.parse(text)).toEqual([
        'EADDRNOTAVAIL',
        { ok: true, changed: true },
        { ok: true, changed: false },
        { ok: true, changed: true },
        { ok: true, changed: false },
        { ok: true, prefixes: ['127.0.0.1/8', '203.0.113.10/32', '2001:db8::10/128', '::1/128'] },
        ['four', 'six', 'tcp'],
        { ok: true, changed: true },
        { ok: true, changed: false },
        { ok: true, changed: true },
        { ok: true, changed: false },
        { ok: true, prefixes: loopback },
        { ok: false, code: 'ENODEV', text: 'there is no interface nosuch' },
        { ok: false, code: 'EINVAL', text: 'nonsense is no address with a prefix length' },
      ]);
    });
  }
});

describe('an unprivileged process', () => {
  // As root the refusal is met by a child that gave its privileges away.
  it('is refused with what is needed', () => {
    const file = new URL('../../src/net/', import.meta.url).href;
    const code = `
      const { loadNative } = await import('${file}native.ts');
      const { addressDriver } = await import('${file}address.ts');
      const { openSockets } = await import('${file}open.ts');
      const native = loadNative();
      if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
      console.log(JSON.stringify([
        await addressDriver(native).add('lo', '203.0.113.10/32', true),
        openSockets([{ kind: 'udp', spec: { network: 'default', address: '127.0.0.1', port: 162, device: 'lo' } }], 1, native).problems,
      ]));`;
    const out = JSON.parse(
      execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }),
    ) as [{ code: string; text: string }, { code: string; fix: string }[]];
    expect(out[0]).toMatchObject({ ok: false, code: 'EPERM' });
    expect(out[0].text).toContain('CAP_NET_ADMIN');
    expect(out[1]).toHaveLength(1);
    // The port or the device: which is refused first is the kernel's affair; each names its fix.
    expect(['EACCES', 'EPERM']).toContain(out[1][0].code);
    expect(out[1][0].fix).toMatch(/CAP_NET/);
  });
});
