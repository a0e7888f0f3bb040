/** Sockets that are handed to a process which runs already, and what is to listen where. */
import { Buffer } from 'node:buffer';
import { afterEach, describe, expect, it } from 'vitest';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { closeSockets, openSockets } from '../../src/net/open.ts';
import { openUdpSocket, type UdpDriver } from '../../src/net/udp.ts';
import { Handover } from '../../src/process/handover.ts';
import { expectedListens, planListens, unservedAddresses } from '../../src/process/listens.ts';
import { LiveListeners } from '../../src/process/live-listeners.ts';
import type { Listen, Listening, ToWorker } from '../../src/process/messages.ts';
import { ANY, ip, requireNative, until } from '../net/helpers.ts';

const native = requireNative();
const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const f of cleanup.splice(0).reverse()) f();
});

function listen(port = 0): Listen {
  const spec = { network: 'default', address: '127.0.0.1', port };
  return { key: `snmp_trap udp default 127.0.0.1:${port}`, collector: 'snmp_trap', kind: 'udp', spec };
}

describe('the hand-over of sockets', () => {
  it('a datagram that was queued before is read by the process that takes the socket; a closed line takes nothing along', async () => {
    const { groups } = openSockets([{ kind: 'udp', spec: listen().spec }], 1, native);
    const handover = new Handover(1);
    cleanup.push(() => handover.close(0));
    const [channel] = handover.open(0);
    const { port } = groups[0].spec;
    const sender = native.openUdp({ address: ip('127.0.0.1'), port: 0 });
    cleanup.push(() => native.closeFd(sender.fd));
    expect(native.sendFrom(sender.fd, Buffer.from('early'), ip('127.0.0.1'), port, ANY, 0)).toBe(0);

    const messages: ToWorker[] = [];
    handover.give(0, (m) => messages.push(m), listen(port), [groups[0].fds[0], groups[0].keeps[0]]);
    closeSockets(groups, native);
    expect(messages).toMatchObject([{ kind: 'listen', fds: 2 }]);
    const opened: UdpDriver[] = [];
    const said: Listening[] = [];
    const keys = new Set<string>();
    const live = new LiveListeners({
      worker: 0,
      channel,
      clock: new ManualClock(),
      log: silentLog,
      onChange: (s) => said.push(s),
      collectors: {
        listen: async (l) => {
          expect(l.spec.keepFd).toBeGreaterThan(2);
          const r = await openUdpSocket(l.spec, { native });
          if (!r.ok) return r.problem.text;
          opened.push(r.value);
          keys.add(l.key);
          return undefined;
        },
        unlisten: async (key) => {
          keys.delete(key);
        },
        adjust: () => {},
        listening: () => [...keys],
      },
    });
    live.change(messages[0] as Extract<ToWorker, { kind: 'listen' }>);
    await until(() => said.length === 1);
    cleanup.push(() => opened[0].close());
    expect(said[0]).toEqual({ kind: 'listening', worker: 0, listens: [listen(port).key], failed: {} });
    const got: string[] = [];
    opened[0].start((batch, count) => {
      for (let i = 0; i < count; i++) got.push(batch[i].data.toString());
    });
    await until(() => got.length === 1);
    expect(got).toEqual(['early']);

    live.change({ kind: 'unlisten', key: listen(port).key });
    await until(() => said.length === 2);
    expect(said[1].listens).toEqual([]);
    // Nothing is there to be taken: said, not waited for.
    live.change({ kind: 'listen', listen: listen(port), fds: 2 });
    await until(() => said.length === 3);
    expect(Object.values(said[2].failed)[0]).toMatch(/did not come/);
  });

  it('waits for a worker that does not read, in order, and drops what a dead one did not take', async () => {
    const { groups } = openSockets([{ kind: 'udp', spec: listen().spec }], 1, native);
    cleanup.push(() => closeSockets(groups, native));
    const handover = new Handover(1);
    cleanup.push(() => handover.close(0));
    const [channel] = handover.open(0);
    const keys: string[] = [];
    const send = (m: ToWorker): void => {
      if (m.kind === 'listen') keys.push(m.listen.key);
    };
    for (let i = 1; i <= 2000; i++) handover.give(0, send, listen(i), [groups[0].fds[0]]);
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.length).toBeLessThan(2000);
    for (let taken = 0; taken < 2000; taken++) {
      const fds = native.receiveFds(channel);
      if (typeof fds === 'number') throw new Error(`after ${taken}`);
      for (const fd of fds) native.closeFd(fd);
      if (taken === keys.length - 1) expect(handover.flush(0, send)).toBeUndefined();
    }
    expect(keys).toEqual(Array.from({ length: 2000 }, (_, i) => listen(i + 1).key));
    handover.give(0, send, listen(1), [groups[0].fds[0]]);
    const [next] = handover.open(0);
    expect(native.receiveFds(next)).toBe(-11);
    handover.forked(0);
  });
});

describe('what has to listen where', () => {
  const base = {
    collectors: { snmp_trap: { listen: [{ vip: 'ingress', port: 162 }], communities: [{ name: 'public' }] } },
    lb: { vips: [{ name: 'ingress', addresses: ['203.0.113.10/32'] }] },
  };
  const parse = (over: object = {}) => configSchema.parse({ ...base, ...over }) as Config;
  const two = { vips: [{ name: 'ingress', addresses: ['203.0.113.10/32', '203.0.113.11/32'] }] };

  it('follows the listeners of each address; one that waits for a restart holds back new addresses only', () => {
    const [{ key }] = planListens(parse());
    expect(expectedListens(parse(), parse(), new Set())).toEqual({ '203.0.113.10': [key] });
    const wanted = parse({
      lb: two,
      collectors: { ...base.collectors, bmp: { listen: [{ vip: 'ingress', port: 11019 }] } },
    });
    const running = { ...wanted, collectors: parse().collectors };
    const expected = expectedListens(running, wanted, new Set(['203.0.113.10']));
    expect(expected['203.0.113.10']).toEqual([key]);
    expect(expected['203.0.113.11']).toEqual([
      'snmp_trap udp default 203.0.113.11:162',
      'bmp tcp default 203.0.113.11:11019',
    ]);
  });

  it('names addresses that no listener serves', () => {
    expect(unservedAddresses(parse({ lb: two }))).toEqual([]);
    const other = { vips: [...two.vips, { name: 'b', addresses: ['203.0.113.12/32', '2001:db8::1/128'] }] };
    expect(unservedAddresses(parse({ lb: other })).map((u) => u.address)).toEqual(['203.0.113.12', '2001:db8::1']);
    const every = { snmp_trap: { listen: ['0.0.0.0:162'], communities: [{ name: 'public' }] } };
    expect(unservedAddresses(parse({ lb: other, collectors: every })).map((u) => u.address)).toEqual(['2001:db8::1']);
  });
});
