/**
 * Each file is one session. A line is `{"about": text}`, `{"in": input}` or `{"out": effect}`: every input must be followed by exactly
 * the effects of the `out` lines behind it, in order. An effect may be given in part; what it names must be equal.
 * Inputs: `{message: hex}`, `{initiation|peerUp|update|peerDown|stats|mirror|termination: …}` written by the encoder, `{closed: reason}`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type Capability,
  encodeEndOfRib,
  encodeNotification,
  encodeOpen,
  encodeUpdate,
} from '../../../src/codec/bgp/index.ts';
import type { UpdateParts } from '../../../src/codec/bgp/update.ts';
import * as bmp from '../../../src/codec/bmp/index.ts';
import { type BmpEffect, type BmpInput, BmpMachine } from '../../../src/collectors/bmp/machine.ts';
import { validateEvent } from '../../schema.ts';

interface OpenLine {
  asn: number;
  bgpId: string;
  holdTime?: number;
  capabilities?: Capability[];
}
interface TlvLine {
  type: number;
  hex: string;
}
interface InputLine {
  message?: string;
  closed?: 'session-lost' | 'shutdown';
  initiation?: Parameters<typeof bmp.encodeInitiation>[0];
  termination?: Parameters<typeof bmp.encodeTermination>[0];
  peerUp?: { peer: bmp.PeerInput; localAddress: string; sent: OpenLine; received: OpenLine | 'bare'; tlvs?: TlvLine[] };
  update?: { peer: bmp.PeerInput; addPath?: string[]; eor?: string } & UpdateParts;
  peerDown?: {
    peer: bmp.PeerInput;
    reason: number;
    notification?: { code: number; subcode: number; text?: string };
    tlvs?: TlvLine[];
  };
  stats?: { peer: bmp.PeerInput; tlvs: TlvLine[] };
  mirror?: { peer: bmp.PeerInput; tlvs: TlvLine[] };
}
type Line = { about: string } | { in: InputLine } | { out: object };

const tlvs = (list: TlvLine[] | undefined) => list?.map((t) => ({ type: t.type, value: Buffer.from(t.hex, 'hex') }));

function open(o: OpenLine | 'bare'): Buffer {
  if (o === 'bare') return Buffer.from(`${'ff'.repeat(16)}001301`, 'hex');
  return encodeOpen({ holdTime: 90, ...o, capabilities: [...(o.capabilities ?? []), { name: 'as4', asn: o.asn }] });
}

function bytes(i: InputLine): Buffer {
  if (i.message !== undefined) return Buffer.from(i.message, 'hex');
  if (i.initiation) return bmp.encodeInitiation(i.initiation);
  if (i.termination) return bmp.encodeTermination(i.termination);
  if (i.peerUp) {
    const { sent, received, tlvs: t, ...rest } = i.peerUp;
    const opens = { sentOpen: open(sent), receivedOpen: open(received) };
    return bmp.encodePeerUp({ localPort: 179, remotePort: 40000, ...rest, ...opens, tlvs: tlvs(t) });
  }
  if (i.update) {
    const { peer, addPath, eor, ...parts } = i.update;
    const ctx = { as4: peer.as2 !== true, addPath: new Set(addPath), extendedMessage: true };
    return bmp.encodeRouteMonitoring({ peer, pdu: eor === undefined ? encodeUpdate(parts, ctx) : encodeEndOfRib(eor) });
  }
  if (i.peerDown) {
    const { notification, tlvs: t, ...rest } = i.peerDown;
    return bmp.encodePeerDown({
      ...rest,
      tlvs: tlvs(t),
      notification: notification && encodeNotification(notification),
    });
  }
  if (i.stats) return bmp.encodeStats({ peer: i.stats.peer, tlvs: tlvs(i.stats.tlvs)! });
  if (i.mirror) return bmp.encodeRouteMirroring({ peer: i.mirror.peer, tlvs: tlvs(i.mirror.tlvs)! });
  throw new Error(`no such input: ${JSON.stringify(i)}`);
}

/** The event this becomes is held against its schema. */
function validate(e: BmpEffect & { kind: 'emit' }): void {
  const time = '2026-01-02T03:04:05.678Z';
  const rx = { site: 's', node: 'n', worker: 0, boot: 1, class: 'routing', seq: 1, at: time };
  const device = { id: 'default|203.0.113.1', name: '203.0.113.1' };
  const data = { network: 'default', device, rx, content_id: e.contentId, ...e.data };
  const head = { specversion: '1.0', id: '1', source: '/tidegate/bmp', type: e.type, tidegatenode: 'n' };
  validateEvent({ ...head, time, subject: device.id, data });
}

function run(file: string): void {
  const text = readFileSync(new URL(file, import.meta.url), 'utf8');
  const lines = text.split('\n').filter((l) => l !== '');
  const machine = new BmpMachine({
    address: '203.0.113.1',
    port: 50000,
    epoch: 1_700_000_000_000_000,
    maxPeers: 3,
    pathIds: 'auto',
  });
  let effects: BmpEffect[] = [];
  let at = '';
  const nothingLeft = () => expect(effects, `left over after ${at}`).toEqual([]);
  lines.forEach((line, i) => {
    const l = JSON.parse(line) as Line;
    if ('about' in l) return;
    if ('in' in l) {
      nothingLeft();
      at = `${file}:${i + 1}`;
      effects = [];
      const closed = l.in.closed;
      const input: BmpInput = closed ? { kind: 'closed', reason: closed } : { kind: 'message', bytes: bytes(l.in) };
      machine.handle(input, effects);
      // As another process would see them.
      effects = JSON.parse(JSON.stringify(effects)) as BmpEffect[];
      for (const e of effects) if (e.kind === 'emit') validate(e);
      return;
    }
    expect(effects.shift(), `${file}:${i + 1}`).toMatchObject(l.out);
  });
  nothingLeft();
}

const files = readdirSync(new URL('.', import.meta.url)).filter((f) => f.endsWith('.jsonl'));

describe('BMP sessions', () => {
  it('there are scenarios', () => {
    expect(files.length).toBeGreaterThanOrEqual(5);
  });
  it.each(files)('%s', (file) => run(`./${file}`));
});
