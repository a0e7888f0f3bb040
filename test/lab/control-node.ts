/**
 * The speaker's sockets alone in a namespace, on a leash: each line of standard input is a JSON array of expressions' names and
 * arguments; each packet, answer and error is a JSON line on standard output.
 */
import { createInterface } from 'node:readline';
import { addressDriver } from '../../src/net/address.ts';
import { controlNet } from '../../src/net/control.ts';
import type { ControlSocket, OpenResult } from '../../src/net/control-types.ts';
import { loadNative } from '../../src/net/native.ts';

const net = controlNet(loadNative());
const driver = addressDriver(loadNative());
const sockets = new Map<string, ControlSocket>();
const say = (o: object) => console.log(JSON.stringify(o));

function open(name: string, r: OpenResult): void {
  if (!r.ok) {
    say({ name, error: r.error, code: r.code });
    return;
  }
  r.socket.onPacket = ({ data, ...p }) => say({ name, data: data.toString('hex'), ...p });
  r.socket.onError = (error) => say({ name, error });
  sockets.set(name, r.socket);
  say({ name, opened: true, port: r.socket.port });
}

net.watchLinks(() => {
  const l = net.link('eth0');
  say({ changed: true, up: l?.up, addresses: l?.addresses });
});

// biome-ignore lint/suspicious/noExplicitAny: a test's own commands
const verbs: Record<string, (...a: any[]) => unknown> = {
  udp: (name, o) => open(name, net.openUdp(o)),
  raw: (name, o) => open(name, net.openRaw(o)),
  packet: (name, o) => open(name, net.openPacket(o)),
  send: (name, hex, address, port, source) =>
    say({ sent: name, error: sockets.get(name)!.send(Buffer.from(hex, 'hex'), address, port, source) ?? null }),
  link: (name) => {
    const l = net.link(name);
    say({ link: l && { ...l, mac: l.mac.toString('hex') } });
  },
  address: async (device, prefix, lifetime) => say({ address: await driver.add(device, prefix, false, lifetime) }),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb, ...args] = JSON.parse(line) as [string, ...unknown[]];
  void verbs[verb](...args);
});
say({ ready: true });
