/** `cluster:` of the configuration file: the nodes of a site. */
import { z } from 'zod';
import { durationOr } from '../config/fields.ts';
import { formatEndpoint, normaliseIp, parseEndpoint, parseIp } from '../core/ip.ts';

export const CLUSTER_PORT = 11790;

/** `ADDR`, `ADDR:PORT`, `V6`, `[V6]:PORT` → `ADDR:PORT` with the default port. */
function endpoint(text: string): string | undefined {
  if (parseIp(text)) return formatEndpoint(normaliseIp(text)!, CLUSTER_PORT);
  const e = parseEndpoint(text);
  return e && e.port > 0 && parseIp(e.address) ? formatEndpoint(normaliseIp(e.address)!, e.port) : undefined;
}

const memberAddress = z
  .string()
  .refine((s) => endpoint(s) !== undefined, 'ADDR or ADDR:PORT such as 192.0.2.1, [2001:db8::1]:11790')
  .transform((s) => endpoint(s)!);

const member = z.union([
  memberAddress.transform((address) => ({ address }) as ClusterMemberConfig),
  z
    .strictObject({ node: z.string().regex(/^[A-Za-z0-9._-]{1,63}$/), address: memberAddress })
    .transform((m) => m as ClusterMemberConfig),
]);

export interface ClusterMemberConfig {
  /** Absent: whatever node answers there. */
  node?: string;
  /** `ADDR:PORT`. */
  address: string;
}

const secret = z.string().min(16, 'at least 16 characters');

export const clusterConfig = z
  .strictObject({
    listen: memberAddress.optional().meta({
      description: `where heartbeats are received, ADDR or ADDR:PORT; port ${CLUSTER_PORT} where none is given; absent: every address`,
    }),
    members: z.array(member).max(64).default([]).meta({
      description: 'the nodes of this site, ADDR[:PORT] or {node, address}; this node may be among them',
    }),
    secret: z
      .union([secret.transform((s) => [s]), z.array(secret).min(1).max(2)])
      .optional()
      .meta({ description: 'the same on all members; two of them while it is changed: the first is sent with' }),
    interval: durationOr('200ms').refine((ms) => ms >= 20, 'at least 20ms'),
    timeout: durationOr('1s').meta({ description: 'a member that is silent for so long is gone' }),
    weight: z.number().int().min(1).max(1000).default(1).meta({
      description: 'share of the VIPs of this node, beside the weights of the other members',
    }),
  })
  .superRefine((c, ctx) => {
    if (c.members.length > 0 && c.secret === undefined)
      ctx.addIssue({ code: 'custom', path: ['secret'], message: 'a secret, the same on all members' });
    if (c.timeout < 3 * c.interval)
      ctx.addIssue({ code: 'custom', path: ['timeout'], message: 'at least three times the interval' });
    const seen = new Set<string>();
    for (const [i, m] of c.members.entries()) {
      if (seen.has(m.address)) ctx.addIssue({ code: 'custom', path: ['members', i], message: 'an address once' });
      seen.add(m.address);
    }
  });

export type ClusterConfig = z.output<typeof clusterConfig>;
