import type { Draft } from '../../../src/event/types.ts';

/** A draft as a pipeline takes it: at once, because its collector makes the next one of the same memory. */
export function taken(draft: Draft): Draft {
  const { type, sec, nsec, network, device, id, contentId, shed, data } = draft;
  return { type, sec, nsec, network, device, id, contentId, shed, data, raw: draft.raw && Uint8Array.from(draft.raw) };
}
