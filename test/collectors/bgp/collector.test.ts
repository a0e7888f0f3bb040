/** The passive collector with routers in memory. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeEndOfRib, encodeUpdate, type UpdateParts } from '../../../src/codec/bgp/index.ts';
import { BgpCollector } from '../../../src/collectors/bgp/collector.ts';
import { bgpCollectorConfig } from '../../../src/collectors/bgp/config.ts';
import { silentLog } from '../../../src/core/log.ts';
import type { Draft } from '../../../src/event/types.ts';
import { DeviceTable } from '../../../src/inventory/inventory.ts';
import { type MemoryConnection, MemoryTcpListener } from '../../../src/net/memory.ts';
import type { BgpSettings, DownFacts } from '../../../src/protocol/bgp/machine.ts';
import { BgpPeer } from '../../../src/protocol/bgp/peer.ts';
import { Refusals } from '../../../src/telemetry/refusals.ts';
import { Registry } from '../../../src/telemetry/registry.ts';
import { CountingClock, settle, UNICAST } from '../../lb/world.ts';
import { eventErrors } from '../../schema.ts';

const AS4 = { as4: true, addPath: new Set<string>(), extendedMessage: false };

class Station {
  readonly clock = new CountingClock();
  readonly metrics = new Registry();
  readonly refusals = new Refusals(this.metrics, this.clock);
  readonly listener = new MemoryTcpListener('192.0.2.1', 179);
  readonly drafts: Draft[] = [];
  readonly collector: BgpCollector;
  accepting = true;
  paused = false;
  private resumer = () => {};

  constructor(config: Record<string, unknown> = {}) {
    const station = this;
    this.collector = new BgpCollector(
      {
        clock: this.clock,
        log: silentLog,
        metrics: this.metrics,
        refusals: this.refusals,
        inventory: new DeviceTable([
          { id: 'core-1', name: 'core-1', match: [{ network: 'default', address: '10.0.0.1' }] },
        ]),
        worker: 0,
        workers: 1,
        pipeline: {
          emit: (draft) => {
            if (!this.accepting) return false;
            this.drafts.push(JSON.parse(JSON.stringify(draft)));
            return true;
          },
          batchDone: () => true,
          accepts: () => this.accepting,
          get paused() {
            return station.paused;
          },
          onResume: (fn) => {
            this.resumer = fn;
          },
          hasDurableExporter: false,
        },
      },
      bgpCollectorConfig.parse({
        asn: 64512,
        router_id: '192.0.2.1',
        peers: [
          { address: '10.0.0.1', asn: 64500 },
          { prefix: '10.1.0.0/16', asn: 4200000000 },
        ],
        ...config,
      }),
      [{ spec: { network: 'default', address: '192.0.2.1', port: 179 }, listener: this.listener }],
    );
    this.collector.start();
  }

  resume(): void {
    this.paused = false;
    this.resumer();
  }

  router(address = '10.0.0.1', settings: Partial<BgpSettings> = {}): TestRouter {
    return new TestRouter(this, address, settings);
  }

  /** What was emitted, each held against its schema. */
  events(type: string): Record<string, never>[] {
    for (const d of this.drafts) {
      const rx = { site: 's', node: 'n', worker: 0, boot: 1, class: 'routing', seq: 0, at: '2026-01-01T00:00:00.000Z' };
      const { network, device, data, contentId } = d;
      const event = {
        specversion: '1.0',
        id: 'x',
        source: '/tidegate/bgp',
        type: d.type,
        time: rx.at,
        subject: device.id,
        dataschema: `urn:tidegate:schema:${d.type}`,
        tidegatenode: 'n',
        datacontenttype: 'application/json',
        data: { network, device, rx, content_id: contentId, ...data },
      };
      expect(eventErrors(event)).toEqual([]);
    }
    return this.drafts.filter((d) => d.type === type).map((d) => d.data as Record<string, never>);
  }

  refused(): string[] {
    return this.refusals.list().map((r) => `${r.source} ${r.code} ${r.count}`);
  }
}

class TestRouter {
  readonly connection: MemoryConnection;
  readonly downs: DownFacts[] = [];
  closed = false;
  readonly peer: BgpPeer;

  constructor(station: Station, address: string, settings: Partial<BgpSettings>) {
    this.connection = station.listener.accept({ address, port: 40000 });
    this.peer = new BgpPeer({
      role: 'passive',
      asn: 64500,
      bgpId: '10.0.0.1',
      holdTime: 30,
      capabilities: UNICAST,
      connectRetry: 1000,
      ...settings,
      clock: station.clock,
      onEstablished: () => {},
      onDown: (d) => this.downs.push(d),
    });
    const c = this.connection;
    this.peer.start();
    this.peer.attach(c);
    c.onData = (chunk) => this.peer.received(c, chunk);
    c.onClose = (error) => {
      this.closed = true;
      this.peer.closed(c, error);
    };
  }

  send(parts: UpdateParts): void {
    this.peer.send(encodeUpdate(parts, AS4));
  }

  announce(...prefixes: string[]): void {
    this.send({
      announced: prefixes.map((prefix) => ({ prefix })),
      attributes: { origin: 'igp', asPath: [{ type: 'sequence', asns: [64500, 65001] }], nextHop: '10.0.0.1' },
    });
  }
}

describe('passive BGP collector', () => {
  it('turns a session into peer and update events that fit their schemas', async () => {
    const s = new Station();
    const r = s.router();
    await settle();
    r.announce('198.51.100.0/24', '203.0.113.0/24');
    r.send({
      mpReach: [{ afi: 2, safi: 1, nextHop: ['2001:db8::1'], routes: [{ prefix: '2001:db8:1::/48' }] }],
      attributes: { origin: 'incomplete', asPath: [{ type: 'sequence', asns: [64500] }], med: 7 },
    });
    r.send({ withdrawn: [{ prefix: '203.0.113.0/24' }] });
    r.peer.send(encodeEndOfRib('1/1'));
    await settle();
    r.peer.stop('going down');
    await settle();
    const peers = s.events('bgp.peer.v1');
    expect(peers.map((p) => [p.state, p.reason])).toEqual([
      ['up', 'Established'],
      ['down', 'notification received'],
    ]);
    expect(peers[0]).toMatchObject({
      router: { name: 'core-1', address: '10.0.0.1', bgp_id: '10.0.0.1' },
      peer: { asn: 64500 },
      local: { address: '192.0.2.1', asn: 64512, bgp_id: '192.0.2.1' },
      hold_time: 30,
      capabilities: { received: { families: ['ipv4-unicast', 'ipv6-unicast'], as4: 64500 } },
    });
    expect(peers[1]).toMatchObject({ notification: { subname: 'Administrative Shutdown', text: 'going down' } });
    expect(peers[0].epoch).toBe(peers[1].epoch);
    const updates = s.events('bgp.update.v1');
    expect(updates).toHaveLength(4);
    expect(updates[0]).toMatchObject({
      view: 'adj-rib-in-pre',
      attributes: { as_path: [64500, 65001], origin_asn: 65001, next_hop: '10.0.0.1' },
      announce: [
        { family: 'ipv4-unicast', prefix: '198.51.100.0/24' },
        { family: 'ipv4-unicast', prefix: '203.0.113.0/24' },
      ],
    });
    expect(updates[1].announce).toEqual([{ family: 'ipv6-unicast', prefix: '2001:db8:1::/48' }]);
    expect(updates[2].withdraw).toEqual([{ family: 'ipv4-unicast', prefix: '203.0.113.0/24' }]);
    expect(updates[3].eor).toBe('ipv4-unicast');
    expect(s.drafts[1]).toMatchObject({ keySuffix: '|10.0.0.1', shed: 'session', device: { id: 'core-1' } });
    expect(s.metrics.handle('tidegate_sessions', { collector: 'bgp' }).value).toBe(0);
  });

  it('announces nothing', async () => {
    const s = new Station();
    const r = s.router();
    await settle();
    expect(r.peer.machine.state).toBe('Established');
    expect(r.peer.updatesReceived).toBe(0);
  });

  it('refuses strangers without a byte, and a wrong AS with 2/2', async () => {
    const s = new Station();
    const stranger = s.router('192.168.0.1');
    const wrong = s.router('10.1.2.3');
    await settle();
    expect(stranger.closed).toBe(true);
    expect(stranger.connection.peer!.written).toEqual([]);
    expect(wrong.downs[0].received).toMatchObject({ code: 2, subcode: 2 });
    expect(s.refused()).toEqual(['192.168.0.1 peer-not-configured 1', '10.1.2.3 bad-peer-as 1']);
    expect(s.drafts).toEqual([]);
    const right = s.router('10.1.2.3', { asn: 4200000000 });
    await settle();
    expect(right.peer.machine.state).toBe('Established');
    expect(s.events('bgp.peer.v1')[0].peer).toMatchObject({ asn: 4200000000 });
  });

  it('keeps an Established session when the peer connects again, and prefers the newer one before', async () => {
    const s = new Station();
    const first = s.router();
    const second = s.router();
    await settle();
    expect(first.downs[0].received?.name).toBe('Cease/Connection Collision Resolution');
    expect(second.peer.machine.state).toBe('Established');
    const third = s.router();
    await settle();
    expect(third.closed).toBe(true);
    expect(second.peer.machine.state).toBe('Established');
    expect(s.events('bgp.peer.v1')).toHaveLength(1);
  });

  it('closes with Out of Resources when the spool is full, and refuses until it is not', async () => {
    const s = new Station();
    const r = s.router();
    await settle();
    s.accepting = false;
    r.announce('198.51.100.0/24');
    await settle();
    expect(r.downs[0].received).toMatchObject({ code: 6, subcode: 8 });
    const refused = s.router();
    await settle();
    expect(refused.closed).toBe(true);
    expect(s.refused()).toEqual(['10.0.0.1 session-refused 1']);
    s.accepting = true;
    const again = s.router();
    await settle();
    expect(again.peer.machine.state).toBe('Established');
  });

  it('stops reading while the pipeline is paused, and does not take the silence for the peer’s', async () => {
    const s = new Station({ hold_time: '9s' });
    const r = s.router();
    await settle();
    s.paused = true;
    r.announce('198.51.100.0/24');
    await settle();
    for (let i = 0; i < 300; i++) r.announce('203.0.113.0/24');
    await settle();
    expect(s.events('bgp.update.v1')).toHaveLength(1);
    for (let i = 0; i < 6; i++) {
      s.clock.advance(2900);
      await settle();
    }
    expect(s.collector.status()).toMatchObject({ sessions: [{ state: 'Established', paused: true }] });
    s.resume();
    await settle();
    expect(s.events('bgp.update.v1')).toHaveLength(301);
    expect(r.peer.machine.state).toBe('Established');
    s.clock.advance(1);
    r.peer.setPaused(true);
    r.connection.write = () => {};
    for (let i = 0; i < 8; i++) s.clock.advance(2000);
    await settle();
    expect(s.events('bgp.peer.v1').at(-1)).toMatchObject({ state: 'down', reason: 'hold timer expired' });
  });

  it('keeps a malformed UPDATE raw: treat-as-withdraw keeps the session, unreadable routes end it', async () => {
    const s = new Station();
    const r = s.router();
    await settle();
    r.send({ announced: [{ prefix: '198.51.100.0/24' }], attributes: { nextHop: '10.0.0.1' } });
    await settle();
    expect(s.events('bgp.update.v1')[0]).toMatchObject({ withdraw: [{ prefix: '198.51.100.0/24' }] });
    expect(r.peer.machine.state).toBe('Established');
    const head = Buffer.alloc(16, 0xff);
    // One prefix of length 99 in the NLRI.
    r.peer.send(Buffer.concat([head, Buffer.from('0018020000000063', 'hex')]));
    await settle();
    expect(s.events('bgp.update.v1')[1]).toMatchObject({ raw: expect.stringMatching(/63$/) });
    expect(r.downs[0].received).toMatchObject({ code: 3, subcode: 10 });
  });

  it('stops with a NOTIFICATION on every session', async () => {
    const s = new Station();
    const r = s.router();
    await settle();
    await s.collector.stop();
    expect(s.listener.closed).toBe(true);
    await settle();
    expect(r.downs[0].received?.name).toBe('Cease/Administrative Shutdown');
    expect(s.events('bgp.peer.v1').at(-1)).toMatchObject({ state: 'down', reason: 'stopped' });
    r.peer.stop();
    r.peer.destroy();
    s.clock.advance(10_000);
    expect(s.clock.live).toBe(0);
  });

  it('survives hostile bytes at any point of a session, and leaves no timer behind', async () => {
    const open = 'ffffffffffffffffffffffffffffffff001d0104fbf4001e0a00000100';
    const keepalive = 'ffffffffffffffffffffffffffffffff001304';
    const marker = Buffer.alloc(16, 0xff);
    const piece = fc.oneof(
      fc.constantFrom(Buffer.from(open, 'hex'), Buffer.from(keepalive, 'hex')),
      fc.uint8Array({ maxLength: 64 }).map((b) => Buffer.from(b)),
      fc.tuple(fc.integer({ min: 1, max: 6 }), fc.uint8Array({ maxLength: 60 })).map(([type, body]) => {
        return Buffer.concat([marker, Buffer.from([0, 19 + body.length, type]), body]);
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 6 }), fc.boolean(), async (pieces, cutShort) => {
        const s = new Station();
        const c = s.listener.accept({ address: '10.0.0.1', port: 40000 });
        c.onData = () => {};
        let closed = false;
        c.onClose = () => {
          closed = true;
        };
        for (const p of pieces) c.write(p);
        await settle();
        if (cutShort) c.destroy();
        await s.collector.stop();
        await settle();
        s.clock.advance(5000);
        await settle();
        expect(closed || cutShort).toBe(true);
        expect(s.clock.live).toBe(0);
        s.events('bgp.peer.v1');
      }),
      { numRuns: 150 },
    );
  });
});
