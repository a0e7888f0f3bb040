/** Why a node is not full for its VIPs, as codes of a bounded set: what metrics and alerts go by. The texts are for people, and change. */

/** The first whose pattern fits is meant. */
const PATTERNS = {
  'worker-missing': /\bmissing$/,
  'channel-closed': /channel closed$/,
  'lease-expired': /lease expired$/,
  starting: /^(worker \d+: )?(starting|sockets are not read yet)/,
  stopping: /^(worker \d+: )?(stopping|stopped)/,
  draining: /drain/,
  disk: /\bdisk\b/,
  socket: /\bsocket\b/,
  spool: /\bspool\b/,
  'export-lag': /delivers nothing$/,
  'kernel-drops': /kernel-drops$/,
  clock: /\bclock\b/,
  other: /^/,
} as const satisfies Record<string, RegExp>;

export type LbReason = keyof typeof PATTERNS;

export const LB_REASONS = Object.keys(PATTERNS) as LbReason[];

export function lbReason(text: string): LbReason {
  return LB_REASONS.find((code) => PATTERNS[code].test(text))!;
}
