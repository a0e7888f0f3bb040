/** What the layer-2 machine keeps of one address. */
import type { L2Member, L2Slot, L2Vip } from './types.ts';

/** An address and all that the machine remembers of it. */
export interface Slot extends L2Slot {
  probes: number;
  /** Of the state; undefined: none. */
  deadline?: number;
  /** Not to be tried before. */
  retryAt: number;
  backoff: number;
  to?: L2Member;
  /** When to announce, ascending. */
  announceAt: number[];
  /** When it was, or is to be, announced again because a member was heard again. */
  againAt?: number;
  /** A member that is not heard any more but may still have it in its kernel. */
  shadow?: { node: string; mac: string; until: number };
  /** Its owner let go of it by itself: until then nobody needs to be asked. */
  givenUpUntil: number;
  /** Who else owned it when we last looked. */
  rival?: string;
  /** A member that we did not hear said it has it, while we owned it. */
  unheard?: string;
  /** Since when somebody else answers for it. */
  conflictSince?: number;
  alarmed: Map<string, number>;
  /** The generation its leader is of. */
  ledBy: number;
  defendAt: number;
}

/** After somebody answered a probe; doubled each time. */
export const CONFLICT_MS = 1000;

/** Of an address that was just taken. */
export const NO_CONFLICT = {
  ...{
    deadline: undefined,
    obstacle: undefined,
    duplicate: undefined,
    conflictSince: undefined,
    rival: undefined,
    unheard: undefined,
  },
  ...{ backoff: CONFLICT_MS, retryAt: 0 },
} as const;

export function makeSlot(v: L2Vip): Slot {
  const address = v.prefix.split('/')[0];
  return {
    ...{ vip: v.vip, prefix: v.prefix, address, state: 'idle', interface: v.interface, mac: v.mac },
    ...{ bound: v.bound, epoch: 0, probes: 0, retryAt: 0, backoff: CONFLICT_MS, announceAt: [] },
    ...{ givenUpUntil: 0, alarmed: new Map(), ledBy: -1, defendAt: 0 },
  };
}

/** The address is to be on this node. */
export function holds(s: L2Slot): boolean {
  return s.state === 'taking' || s.state === 'owner' || s.state === 'releasing';
}
