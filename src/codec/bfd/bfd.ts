/**
 * BFD control packet, RFC 5880 section 4.1.
 *
 *   0                   1                   2                   3
 *  |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
 *  |                       My Discriminator                        |
 *  |                      Your Discriminator                       |
 *  |                    Desired Min TX Interval                    |   microseconds
 *  |                   Required Min RX Interval                    |   microseconds
 *  |                 Required Min Echo RX Interval                 |   microseconds
 *
 * An authentication section may follow; none is spoken here, and a packet with one is refused (section 6.8.6).
 */
import { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/result.ts';

export const BFD_STATES = ['AdminDown', 'Down', 'Init', 'Up'] as const;
export type BfdState = (typeof BFD_STATES)[number];

/** RFC 5880 section 4.1, RFC 6428 for 9. */
export const BFD_DIAGNOSTICS = [
  'No Diagnostic',
  'Control Detection Time Expired',
  'Echo Function Failed',
  'Neighbor Signaled Session Down',
  'Forwarding Plane Reset',
  'Path Down',
  'Concatenated Path Down',
  'Administratively Down',
  'Reverse Concatenated Path Down',
] as const;

export interface BfdPacket {
  state: BfdState;
  diagnostic: number;
  poll: boolean;
  final: boolean;
  /** The C bit: the session survives the sender's control plane. */
  controlPlaneIndependent: boolean;
  demand: boolean;
  detectMult: number;
  myDiscriminator: number;
  yourDiscriminator: number;
  /** Microseconds. */
  desiredMinTx: number;
  requiredMinRx: number;
  requiredMinEchoRx: number;
}

const LENGTH = 24;

/** Every check of section 6.8.6 that needs no session. Bytes after the announced length are ignored, as it says. */
export function decodeBfd(b: Buffer): BfdPacket | DecodeError {
  if (b.length < LENGTH) return new DecodeError('truncated', b.length, 'bfd');
  if (b[0] >> 5 !== 1) return new DecodeError('version', 0, 'bfd');
  const flags = b[1];
  if (b[3] < ((flags & 4) !== 0 ? LENGTH + 2 : LENGTH)) return new DecodeError('length', 3, 'bfd');
  if (b[3] > b.length) return new DecodeError('length', 3, 'bfd');
  if (b[2] === 0) return new DecodeError('value', 2, 'bfd.detect-mult');
  if ((flags & 1) !== 0) return new DecodeError('value', 1, 'bfd.multipoint');
  if ((flags & 4) !== 0) return new DecodeError('unsupported', 1, 'bfd.authentication');
  // Sections 6.5: a packet is never both.
  if ((flags & 0x30) === 0x30) return new DecodeError('value', 1, 'bfd.poll-final');
  const mine = b.readUInt32BE(4);
  if (mine === 0) return new DecodeError('value', 4, 'bfd.my-discriminator');
  const state = BFD_STATES[flags >> 6];
  const yours = b.readUInt32BE(8);
  if (yours === 0 && state !== 'Down' && state !== 'AdminDown')
    return new DecodeError('value', 8, 'bfd.your-discriminator');
  return {
    state,
    diagnostic: b[0] & 0x1f,
    poll: (flags & 0x20) !== 0,
    final: (flags & 0x10) !== 0,
    controlPlaneIndependent: (flags & 0x08) !== 0,
    demand: (flags & 0x02) !== 0,
    detectMult: b[2],
    myDiscriminator: mine,
    yourDiscriminator: yours,
    desiredMinTx: b.readUInt32BE(12),
    requiredMinRx: b.readUInt32BE(16),
    requiredMinEchoRx: b.readUInt32BE(20),
  };
}

export function encodeBfd(p: BfdPacket): Buffer {
  const b = Buffer.alloc(LENGTH);
  b[0] = (1 << 5) | (p.diagnostic & 0x1f);
  b[1] =
    (BFD_STATES.indexOf(p.state) << 6) |
    (p.poll ? 0x20 : 0) |
    (p.final ? 0x10 : 0) |
    (p.controlPlaneIndependent ? 0x08 : 0) |
    (p.demand ? 0x02 : 0);
  b[2] = p.detectMult;
  b[3] = LENGTH;
  b.writeUInt32BE(p.myDiscriminator, 4);
  b.writeUInt32BE(p.yourDiscriminator, 8);
  b.writeUInt32BE(p.desiredMinTx, 12);
  b.writeUInt32BE(p.requiredMinRx, 16);
  b.writeUInt32BE(p.requiredMinEchoRx, 20);
  return b;
}
