/** The speaker's sockets between two namespaces: raw IP, packets, UDP with TTL, links, addresses that end by themselves. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, type Namespace } from './netns.ts';
import type { Proc } from './proc.ts';
import { waitFor } from './wait.ts';

const lab = new Lab();
let a: Namespace;
let b: Namespace;
let left: Node;
let right: Node;

type Said = Record<string, unknown>;

class Node {
  readonly proc: Proc;
  constructor(ns: Namespace) {
    const script = fileURLToPath(new URL('control-node.ts', import.meta.url));
    this.proc = ns.spawn([process.execPath, script], { stdin: true });
  }
  get said(): Said[] {
    return this.proc.out.map((l) => JSON.parse(l) as Said);
  }
  tell(...command: unknown[]): void {
    this.proc.child.stdin!.write(`${JSON.stringify(command)}\n`);
  }
  wait(what: string, match: (s: Said) => boolean): Promise<Said> {
    return waitFor(() => this.said.find(match), `${what}; ${this.proc.err.join(' ')}`);
  }
  /** Packets of the socket of that name. */
  packets(name: string): Said[] {
    return this.said.filter((s) => s.name === name && s.data !== undefined);
  }
  packet(name: string): Promise<Said> {
    return this.wait(`a packet for ${name}`, (s) => s.name === name && s.data !== undefined);
  }
}

beforeAll(async () => {
  a = lab.namespace('a');
  b = lab.namespace('b');
  lab.link(
    { ns: a, dev: 'eth0', addresses: ['10.0.0.1/24', '2001:db8::1/64'] },
    { ns: b, dev: 'eth0', addresses: ['10.0.0.2/24', '2001:db8::2/64'] },
  );
  left = new Node(a);
  right = new Node(b);
  for (const n of [left, right]) await n.wait('ready', (s) => s.ready === true);
});
afterAll(() => lab.close());

describe('sockets of the speaker', () => {
  it.each([
    [4, '224.0.0.18', '10.0.0.1'],
    [6, 'ff02::12', '2001:db8::1'],
  ] as const)(
    'raw IPv%i: multicast with TTL 255, heard by the other end and not by ourselves',
    async (family, group, source) => {
      const name = `vrrp${family}`;
      for (const n of [left, right]) {
        n.tell('raw', name, { family, protocol: 112, device: 'eth0', groups: [group], ttl: 255 });
        expect(await n.wait('opened', (s) => s.name === name)).toMatchObject({ opened: true });
      }
      left.tell('send', name, '31014001', group, 0, source);
      expect(await right.packet(name)).toMatchObject({ data: '31014001', source, destination: group, ttl: 255 });
      expect(left.packets(name)).toEqual([]);
      // Unicast as well.
      right.tell('send', name, '31014002', source);
      expect(await left.packet(name)).toMatchObject({ data: '31014002', destination: source, ttl: 255 });
    },
  );

  it('UDP: TTL as it was sent, a source port of the range, the interface', async () => {
    right.tell('udp', 'bfd', { address: '10.0.0.2', port: 3784, ttl: 255 });
    left.tell('udp', 'bfd', { address: '10.0.0.1', port: 0, portRange: [49152, 65535], ttl: 255 });
    const opened = await left.wait('opened', (s) => s.name === 'bfd');
    expect(opened.port).toBeGreaterThanOrEqual(49152);
    await right.wait('opened', (s) => s.name === 'bfd');
    left.tell('send', 'bfd', 'c0ffee', '10.0.0.2', 3784);
    const got = await right.packet('bfd');
    expect(got).toMatchObject({ data: 'c0ffee', source: '10.0.0.1', sourcePort: opened.port, ttl: 255 });
    expect(got.ifindex).toBe(Number(JSON.parse(b.ip('-json', 'link', 'show', 'eth0'))[0].ifindex));
  });

  it('ARP: whole frames, both ways, and not our own', async () => {
    for (const n of [left, right]) n.tell('packet', 'arp', { device: 'eth0', etherType: 0x0806 });
    await right.wait('opened', (s) => s.name === 'arp');
    await left.wait('opened', (s) => s.name === 'arp');
    const mac = String(JSON.parse(a.ip('-json', 'link', 'show', 'eth0'))[0].address).replaceAll(':', '');
    const probe = `ffffffffffff${mac}08060001080006040001${mac}00000000000000000000${'0a000002'}`;
    left.tell('send', 'arp', probe);
    expect(await right.packet('arp')).toMatchObject({ data: probe });
    // The kernel of the other end answers the probe; ours is not among what we hear.
    const answer = await left.packet('arp');
    expect(String(answer.data).slice(28 + 12, 28 + 16)).toBe('0002');
    expect(left.packets('arp').map((p) => p.data)).not.toContain(probe);
  });

  it('ICMPv6: only the types that were asked for pass the filter', async () => {
    right.tell('packet', 'nd', { device: 'eth0', etherType: 0x86dd, icmpTypes: [135, 136] });
    await right.wait('opened', (s) => s.name === 'nd');
    left.tell('udp', 'six', { address: '2001:db8::1', port: 0 });
    await left.wait('opened', (s) => s.name === 'six');
    // The neighbour is not known, so there is a solicitation before the datagram.
    a.ip('-6', 'neigh', 'flush', 'dev', 'eth0');
    left.tell('send', 'six', 'c0ffee', '2001:db8::2', 9);
    await right.packet('nd');
    const types = new Set(right.packets('nd').map((p) => Number.parseInt(String(p.data).slice(108, 110), 16)));
    expect([...types].every((t) => t === 135 || t === 136)).toBe(true);
    expect(types.has(135)).toBe(true);
  });

  it('links: what they are, and word of a change', async () => {
    left.tell('link', 'eth0');
    const { link } = (await left.wait('link', (s) => 'link' in s)) as { link: Said };
    expect(link).toMatchObject({ name: 'eth0', up: true, mtu: 1500 });
    expect(link.addresses).toContain('10.0.0.1/24');
    b.ip('link', 'set', 'eth0', 'down');
    await left.wait('the link is down', (s) => s.changed === true && s.up === false);
    b.ip('link', 'set', 'eth0', 'up');
    await waitFor(() => left.said.filter((s) => s.changed).at(-1)?.up, 'the link is up');
  });

  it('an address with a lifetime is renewed, and goes by itself', async () => {
    const shown = () => a.ip('-json', 'address', 'show', 'dev', 'eth0');
    left.tell('address', 'eth0', '10.0.0.99/32', 60_000);
    await waitFor(() => shown().includes('10.0.0.99'), 'the address');
    left.tell('address', 'eth0', '10.0.0.99/32', 1000);
    await waitFor(() => !shown().includes('10.0.0.99'), 'the kernel removes it');
    const answers = left.said.filter((s) => 'address' in s).map((s) => (s.address as Said).ok);
    expect(answers).toEqual([true, true]);
  });

  it('says why a socket cannot be opened', async () => {
    left.tell('raw', 'none', { family: 4, protocol: 112, device: 'nowhere' });
    expect(await left.wait('refused', (s) => s.name === 'none')).toMatchObject({ code: 'ENODEV' });
  });
});
