/** What goes into the layer-2 machine and comes out of it. All of it is JSON-able. */
import type { Grade } from '../grade.ts';
import type { Candidate } from '../owner.ts';

export type L2State = 'idle' | 'probing' | 'taking' | 'owner' | 'releasing';

export interface L2Settings {
  node: string;
  boot: number;
  /** Milliseconds: silence after which a member is dead, and we are to the others. */
  timeout: number;
  /** Of an address in the kernel. */
  lifetime: number;
  probe: { count: number; interval: number };
}

export interface L2Claim {
  /** RFC 5952 text without a length. */
  address: string;
  state: 'owner' | 'releasing' | 'taking';
  epoch: number;
  mac: string;
  /** Boot of who is to take it. */
  to?: number;
}

/** A member as the cluster sees it. */
export interface L2Member extends Candidate {
  boot: number;
  alive: boolean;
  fit: boolean;
  hearsUs: boolean;
  claims: readonly L2Claim[];
}

export interface L2Vip {
  vip: string;
  prefix: string;
  /** The interface it is to be on, and its MAC address; absent: none is up. */
  interface?: string;
  mac: string;
  bound: boolean;
}

export type L2Input =
  | { type: 'want'; grade: Grade; weight: number; vips: L2Vip[] }
  | { type: 'members'; settled: boolean; members: L2Member[] }
  /** A frame says that another interface has the address. `alive`: said by a process, not by a kernel alone. */
  | { type: 'answer'; address: string; mac: string; alive: boolean }
  /** Somebody asks whether it may take the address. */
  | { type: 'probe-seen'; address: string; mac: string }
  | { type: 'timer' }
  | { type: 'stop' };

export type L2Effect =
  | { type: 'probe' | 'announce'; address: string; interface: string }
  /** What we have to say of us, whole. */
  | { type: 'claims'; claims: L2Claim[] }
  /** `needed` has changed. */
  | { type: 'addresses' }
  | { type: 'state'; vip: string; prefix: string; from: L2State; to: L2State; reason: string }
  | { type: 'alarm'; reason: string; facts: Record<string, unknown> }
  | { type: 'set-timer'; ms: number };

/** One address. JSON; part of `lb status`. */
export interface L2Slot {
  vip: string;
  prefix: string;
  address: string;
  state: L2State;
  interface?: string;
  mac: string;
  bound: boolean;
  /** How often it was taken, as far as we know. */
  epoch: number;
  leader?: string;
  /** Who has it, as far as we hear. */
  holder?: string;
  obstacle?: string;
  /** Somebody else has the address: his MAC address, his name where he is a member, and when (monotonic milliseconds). */
  duplicate?: { mac: string; node?: string; at: number };
}

/** Part of `lb status`. */
export interface L2Status {
  node: string;
  interfaces: { name: string; up: boolean; error?: string }[];
  /** The members of the cluster were heard, or there was time enough. */
  settled: boolean;
  vips: {
    vip: string;
    address: string;
    state: L2State;
    interface?: string;
    bound: boolean;
    leader?: string;
    holder?: string;
    epoch: number;
    obstacle?: string;
  }[];
}
