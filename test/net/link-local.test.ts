import { execFileSync, spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const near = `tgll${process.pid}a`;
const far = `tgll${process.pid}b`;
const server = new URL('./fixtures/echo-udp6.ts', import.meta.url).pathname;
const ip = (...args: string[]): void => {
  execFileSync('ip', args);
};

// Two namespaces on one wire; the addresses are set by hand, without duplicate detection, so that they are there at once.
describe.runIf(process.getuid?.() === 0)('a neighbour with a link-local address', () => {
  beforeAll(() => {
    for (const ns of [near, far]) ip('netns', 'add', ns);
    ip('-n', near, 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'wire', 'netns', far);
    for (const [ns, address] of [
      [near, 'fe80::1/64'],
      [far, 'fe80::2/64'],
    ]) {
      ip('-n', ns, 'link', 'set', 'wire', 'addrgenmode', 'none');
      ip('-n', ns, 'link', 'set', 'wire', 'up');
      ip('-n', ns, 'addr', 'add', address, 'dev', 'wire', 'nodad');
    }
  });
  afterAll(() => {
    for (const ns of [near, far]) ip('netns', 'delete', ns);
  });

  it('is answered through the interface it came from', async () => {
    const child = spawn('ip', ['netns', 'exec', near, process.execPath, server], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    try {
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      const code = `
        const s = require('dgram').createSocket('udp6');
        s.on('message', (m, from) => { console.log(from.address + ' ' + m); s.close(); clearTimeout(t); });
        const t = setTimeout(() => { console.log('no answer'); s.close(); }, 10000);
        s.bind(0, 'fe80::2%wire', () => s.send('hello', 5000, 'fe80::1%wire'));`;
      const out = execFileSync('ip', ['netns', 'exec', far, process.execPath, '-e', code], { encoding: 'utf8' });
      expect(out.trim()).toBe('fe80::1%wire re hello');
    } finally {
      child.kill('SIGKILL');
    }
  });
});
