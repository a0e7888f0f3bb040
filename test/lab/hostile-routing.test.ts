/**
 * Bad BMP and BGP, one fault at a time: each refusal is counted once, under its own code, and answered as the RFC has it, while a good session of
 * the same protocol beside it goes on as if nothing were.
 */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeKeepalive } from '../../src/codec/bgp/message.ts';
import { encodeOpen } from '../../src/codec/bgp/open.ts';
import { encodeUpdate } from '../../src/codec/bgp/update.ts';
import { encodeInitiation, encodePeerUp, encodeRouteMonitoring, encodeStats } from '../../src/codec/bmp/encode.ts';
import { labAvailable } from './peers.ts';
import { metricsOf, portOf, seriesOf, sumOf } from './snmp-load.ts';
import { type PrintedEvent, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const PEER = { address: '192.0.2.2', asn: 65001, bgpId: '192.0.2.2' };
const GOOD_BMP = '127.0.77.1';
const GOOD_BGP = '127.0.77.2';
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const MARKER = 'ff'.repeat(16);

const open = (over: Partial<Parameters<typeof encodeOpen>[0]> = {}) =>
  encodeOpen({ asn: 65001, holdTime: 90, bgpId: '192.0.2.2', capabilities: [{ name: 'as4', asn: 65001 }], ...over });
const route = (prefix: string) =>
  encodeUpdate(
    {
      announced: [{ prefix }],
      attributes: { origin: 'igp', asPath: [{ type: 'sequence', asns: [65001] }], nextHop: '192.0.2.2' },
    },
    { as4: true, addPath: new Set(), extendedMessage: false },
  );
const peerUp = (more: Partial<Parameters<typeof encodePeerUp>[0]> = {}) =>
  encodePeerUp({
    peer: PEER,
    localAddress: '192.0.2.1',
    localPort: 179,
    remotePort: 40000,
    sentOpen: open(),
    receivedOpen: open(),
    ...more,
  });
/** A BMP message of any type and length. */
const bmp = (type: number, body: Buffer, length = body.length + 6) => {
  const head = Buffer.from([3, 0, 0, 0, 0, type]);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, body]);
};
const changed = (b: Buffer, at: number, ...bytes: number[]) => {
  const out = Buffer.from(b);
  out.set(bytes, at);
  return out;
};

interface Link {
  socket: Socket;
  /** Everything that came back. */
  heard(): Buffer;
  closed(): boolean;
}

function dial(port: number, localAddress: string): Link {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  const parts: Buffer[] = [];
  let closed = false;
  socket.on('data', (d: Buffer) => parts.push(d));
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  return { socket, heard: () => Buffer.concat(parts), closed: () => closed };
}

/** Type, and of a NOTIFICATION code and subcode, of each whole BGP message. */
function messages(stream: Buffer): string[] {
  const out: string[] = [];
  for (let at = 0; at + 19 <= stream.length; at += stream.readUInt16BE(at + 16))
    out.push(stream[at + 18] === 3 ? `3 ${stream[at + 19]}/${stream[at + 20]}` : String(stream[at + 18]));
  return out;
}

describe.skipIf(!labAvailable('ip'))('bad routing input', () => {
  let t: Tidegate;
  let bmpGood: Link;
  let bgpGood: Link;
  const said = { bmp: 0, bgp: 0 };

  const updates = (type: 'bmp' | 'bgp', from: string) =>
    t.events.filter(
      (e) =>
        e.type === `${type}.update.v1` && (e.data.router as { address: string }).address === from && e.data.announce,
    );

  beforeAll(async () => {
    t = await Tidegate.start({
      config: {
        workers: 1,
        admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
        collectors: {
          bmp: { listen: ['127.0.0.1:0'], max_peers: 2 },
          bgp: {
            listen: ['127.0.0.1:0'],
            asn: 64512,
            router_id: '192.0.2.9',
            peers: [
              { address: GOOD_BGP, asn: 65001 },
              { prefix: '127.0.66.0/24', asn: 65001 },
            ],
          },
        },
      },
    });
    bmpGood = dial(portOf(t.ready, 'bmp'), GOOD_BMP);
    bmpGood.socket.write(Buffer.concat([encodeInitiation({ sysName: 'good', sysDescr: 'x' }), peerUp()]));
    bgpGood = dial(portOf(t.ready, 'bgp'), GOOD_BGP);
    bgpGood.socket.write(Buffer.concat([open({ bgpId: '192.0.2.77' }), encodeKeepalive()]));
    await t.waitEvents((e) => e.type === 'bgp.peer.v1' && e.data.state === 'up', 1);
    await t.waitEvents((e) => e.type === 'bmp.peer.v1' && e.data.state === 'up', 1);
  });
  afterAll(async () => {
    bmpGood?.socket.destroy();
    bgpGood?.socket.destroy();
    await t?.close();
  });

  /** One more route from each good router, and it is there. */
  async function goodGoesOn(): Promise<void> {
    said.bmp++;
    said.bgp++;
    bmpGood.socket.write(encodeRouteMonitoring({ peer: PEER, pdu: route(`10.1.${said.bmp}.0/24`) }));
    bgpGood.socket.write(route(`10.2.${said.bgp}.0/24`));
    const all = () => updates('bmp', GOOD_BMP).length === said.bmp && updates('bgp', GOOD_BGP).length === said.bgp;
    await waitFor(all, 'the routes of the good routers');
    expect([bmpGood.closed(), bgpGood.closed()]).toEqual([false, false]);
  }

  const counted = async (collector: string, code: string) => {
    const page = await metricsOf(t.ready);
    const of = new RegExp(`collector="${collector}"`);
    return [
      seriesOf(page, `tidegate_refused_total{code="${code}",collector="${collector}"}`),
      sumOf(page, 'tidegate_refused_total', of),
    ];
  };

  /** Does it, and holds that one refusal was counted, and under which code. */
  async function refused(collector: 'bmp' | 'bgp', code: string, fault: () => void): Promise<void> {
    const before = await counted(collector, code);
    fault();
    await waitFor(async () => (await counted(collector, code))[0] > before[0], `a refusal ${code}`);
    await goodGoesOn();
    expect(await counted(collector, code), 'refused once, and for nothing else').toEqual(before.map((n) => n + 1));
  }

  let sources = 0;
  const source = () => `127.0.66.${++sources}`;

  it.each<[string, string, Buffer]>([
    ['another version', 'version', changed(peerUp(), 0, 2)],
    ['a length that is less than a header', 'length', bmp(4, Buffer.alloc(0), 5)],
    ['a length beyond max_message', 'limit', bmp(4, Buffer.alloc(0), 2 ** 21)],
  ])('BMP, %s: %s, and the session ends', async (_what, code, bytes) => {
    const link = dial(portOf(t.ready, 'bmp'), source());
    await refused('bmp', code, () => link.socket.write(bytes));
    await waitFor(link.closed, 'the end of the session');
    expect(link.heard()).toEqual(Buffer.alloc(0));
  });

  const tlvs = (n: number) => Buffer.concat(Array.from({ length: n }, () => hex('0000 0000')));
  it.each<[string, string, Buffer]>([
    ['a type that does not exist', 'unsupported', bmp(9, Buffer.alloc(0))],
    ['half a per-peer header', 'truncated', bmp(0, Buffer.alloc(20))],
    ['a TLV that is longer than its message', 'truncated', bmp(4, hex('0002 00ff 41'))],
    ['more TLVs than anybody sends', 'limit', bmp(4, tlvs(20_000))],
    ['statistics that are fewer than they say', 'length', changed(encodeStats({ peer: PEER, tlvs: [] }), 51, 7)],
    [
      'a route of a peer that was never up',
      'unknown-peer',
      encodeRouteMonitoring({ peer: { ...PEER, address: '192.0.2.99' }, pdu: route('10.9.0.0/24') }),
    ],
    ['a Peer Up without half of its OPENs', 'truncated', bmp(3, peerUp().subarray(6, 100))],
    [
      'a Peer Up whose OPEN has no marker',
      'marker',
      peerUp({ peer: { ...PEER, address: '192.0.2.3' }, sentOpen: changed(open(), 0, 0) }),
    ],
    [
      'a Peer Up whose OPEN is of BGP 3',
      'version',
      peerUp({ peer: { ...PEER, address: '192.0.2.4' }, receivedOpen: changed(open(), 19, 3) }),
    ],
  ])('BMP, %s: %s, and the session goes on', async (_what, code, bytes) => {
    const from = source();
    const link = dial(portOf(t.ready, 'bmp'), from);
    link.socket.write(Buffer.concat([encodeInitiation({ sysName: from, sysDescr: 'x' }), peerUp()]));
    await refused('bmp', code, () => link.socket.write(bytes));
    link.socket.write(encodeRouteMonitoring({ peer: PEER, pdu: route('10.3.0.0/24') }));
    await waitFor(() => updates('bmp', from).length === 1, 'the route behind the fault');
    expect(link.closed()).toBe(false);
    link.socket.destroy();
  });

  it('BMP, more peers than max_peers: limit; an UPDATE that cannot be read is counted, and kept as it came', async () => {
    const from = source();
    const link = dial(portOf(t.ready, 'bmp'), from);
    const second = { ...PEER, address: '192.0.2.21' };
    link.socket.write(
      Buffer.concat([encodeInitiation({ sysName: from, sysDescr: 'x' }), peerUp(), peerUp({ peer: second })]),
    );
    await refused('bmp', 'limit', () => link.socket.write(peerUp({ peer: { ...PEER, address: '192.0.2.22' } })));
    const bad = hex(`${MARKER} 0017 02 00ff 0000`);
    await refused('bmp', 'length', () => link.socket.write(encodeRouteMonitoring({ peer: PEER, pdu: bad })));
    const fits = (e: PrintedEvent) => e.type === 'bmp.update.v1' && e.data.raw !== undefined;
    const [kept] = await t.waitEvents(fits, 1);
    expect(kept.data).toMatchObject({
      raw: `0x${bad.toString('hex')}`,
      error: { code: 'length', layer: 'bgp.update' },
    });
    link.socket.destroy();
  });

  const update = (withdrawn: string, attributes = '0000') => {
    const body = hex(`${withdrawn} ${attributes}`);
    const head = hex(`${MARKER} 0000 02`);
    head.writeUInt16BE(19 + body.length, 16);
    return Buffer.concat([head, body]);
  };

  it.each<[string, string, Buffer, string[]]>([
    ['a marker that is none', 'marker', changed(open(), 3, 0), ['1', '3 1/1']],
    ['a length below 19', 'length', hex(`${MARKER} 0012 01`), ['1', '3 1/2']],
    ['a length above 4096', 'length', hex(`${MARKER} 1001 02`), ['1', '3 1/2']],
    ['a type that does not exist', 'unsupported', hex(`${MARKER} 0013 09`), ['1', '3 1/3']],
    ['an OPEN of BGP 3', 'version', changed(open(), 19, 3), ['1', '3 2/1']],
    ['an OPEN whose parameters are longer than it', 'length', changed(open(), 28, 200), ['1', '3 2/0']],
    ['an OPEN with more behind its parameters', 'trailing', changed(open(), 28, 0), ['1', '3 2/0']],
    ['an OPEN of another AS', 'bad-peer-as', open({ capabilities: [{ name: 'as4', asn: 65999 }] }), ['1', '3 2/2']],
    ['an OPEN without a BGP identifier', 'open-refused', open({ bgpId: '0.0.0.0' }), ['1', '3 2/3']],
    [
      'an OPEN with an unknown parameter',
      'open-refused',
      open({ unknownParameters: [{ type: 99, value: '00' }] }),
      ['1', '3 2/4'],
    ],
    ['a hold time of one second', 'open-refused', open({ holdTime: 1 }), ['1', '3 2/6']],
    ['a KEEPALIVE before the OPEN', 'unexpected-message', encodeKeepalive(), ['1', '3 5/1']],
    [
      'an UPDATE before the session is up',
      'unexpected-message',
      Buffer.concat([open({ bgpId: '192.0.2.50' }), route('10.5.0.0/24')]),
      ['1', '4', '3 5/2'],
    ],
  ])('BGP, %s: %s, and the NOTIFICATION of the RFC', async (_what, code, bytes, answer) => {
    const link = dial(portOf(t.ready, 'bgp'), source());
    await refused('bgp', code, () => link.socket.write(bytes));
    await waitFor(link.closed, 'the end of the session');
    expect(messages(link.heard())).toEqual(answer);
  });

  it.each<[string, string, Buffer, string]>([
    ['withdrawn routes that are longer than the message', 'length', update('00ff'), '3 3/1'],
    ['attributes that are longer than the message', 'length', update('0000', '00ff'), '3 3/1'],
    ['an MP_REACH_NLRI that is too short', 'value', update('0000', '0004 80 0e 01 00'), '3 3/9'],
  ])('BGP in a session, %s: %s, and that session alone ends', async (_what, code, bytes, notification) => {
    const from = source();
    const link = dial(portOf(t.ready, 'bgp'), from);
    const of = (state: string) => (e: PrintedEvent) =>
      e.type === 'bgp.peer.v1' && e.data.state === state && (e.data.peer as { address: string }).address === from;
    link.socket.write(Buffer.concat([open({ bgpId: `192.0.3.${sources}` }), encodeKeepalive()]));
    await t.waitEvents(of('up'), 1);
    await refused('bgp', code, () => link.socket.write(bytes));
    await waitFor(link.closed, 'the end of the session');
    expect(messages(link.heard()).at(-1)).toBe(notification);
    const [down] = await t.waitEvents(of('down'), 1);
    expect(down.data.notification).toMatchObject({ code: 3 });
    // What could not be read is in an event as it came.
    expect(
      t.events.filter((e) => e.type === 'bgp.update.v1' && e.data.raw === `0x${bytes.toString('hex')}`),
    ).not.toEqual([]);
  });

  it('BGP of a stranger: peer-not-configured, and not a byte', async () => {
    const link = dial(portOf(t.ready, 'bgp'), '127.0.88.1');
    await refused('bgp', 'peer-not-configured', () => link.socket.write(open()));
    await waitFor(link.closed, 'the end of the connection');
    expect(link.heard()).toEqual(Buffer.alloc(0));
  });

  it('the good sessions never went down', async () => {
    await goodGoesOn();
    for (const type of ['bmp.peer.v1', 'bgp.peer.v1'])
      expect(
        t.events
          .filter(
            (e) => e.type === type && [GOOD_BMP, GOOD_BGP].includes((e.data.router as { address: string }).address),
          )
          .map((e) => e.data.state),
        type,
      ).toEqual(['up']);
    const epochs = (type: 'bmp' | 'bgp', from: string) => new Set(updates(type, from).map((e) => e.data.epoch)).size;
    expect([epochs('bmp', GOOD_BMP), epochs('bgp', GOOD_BGP)]).toEqual([1, 1]);
    expect((await t.sigterm()).code).toBe(0);
  });
});
