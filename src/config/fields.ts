/** The field types of the configuration file. Each says what is allowed; JSON Schema is generated from the same definitions. */
import { z } from 'zod';
import { normaliseIp, parseEndpoint, parseIp, parsePrefix } from '../core/ip.ts';
import { parseDuration, parseSize } from '../core/units.ts';

/** `5s`, `200ms`, `1h30m` → milliseconds. Defaults are given as text: `duration().default('5s')` is written `durationOr('5s')`. */
export const duration = z
  .union([z.string(), z.number()])
  .transform((v, ctx) => {
    const ms = parseDuration(String(v));
    if (ms === undefined) ctx.addIssue({ code: 'custom', message: 'a duration such as 200ms, 5s, 1h30m' });
    return ms ?? 0;
  })
  .meta({ description: 'a duration such as 200ms, 5s, 1h30m', examples: ['5s'] });

/** `64MiB`, `10GiB` → bytes. */
export const size = z
  .union([z.string(), z.number()])
  .transform((v, ctx) => {
    const n = parseSize(String(v));
    if (n === undefined) ctx.addIssue({ code: 'custom', message: 'a size such as 64MiB, 10GiB' });
    return n ?? 0;
  })
  .meta({ description: 'a size such as 64MiB, 10GiB', examples: ['64MiB'] });

export const durationOr = (text: string) => duration.prefault(text);
export const sizeOr = (text: string) => size.prefault(text);

/** An IP address, normalised to RFC 5952. */
export const ipAddress = z
  .string()
  .refine((s) => parseIp(s) !== undefined, 'an IP address such as 192.0.2.1 or 2001:db8::1')
  .transform((s) => normaliseIp(s)!);

/** A CIDR prefix or a bare address. */
export const cidr = z
  .string()
  .refine((s) => parsePrefix(s) !== undefined, 'a prefix such as 10.0.0.0/8 or 2001:db8::/32');

/** Octets in hex, with or without 0x → lower case without it. */
export const hexOctets = z
  .string()
  .regex(/^(0x)?([0-9a-fA-F]{2})+$/, 'octets in hex such as 0x80001f88')
  .transform((s) => s.replace(/^0x/i, '').toLowerCase());

/** snmpEngineID: 5 to 32 octets in hex, not all 0 or all 255 (RFC 3411 section 5). */
export const engineId = z
  .string()
  .regex(/^(0x)?([0-9a-fA-F]{2}){5,32}$/, 'an engine id of 5 to 32 octets in hex such as 0x80001f880411223344')
  .refine((s) => !/^(0x)?(0+|[fF]+)$/.test(s), 'an engine id that is not all 00 or all ff')
  .transform((s) => s.replace(/^0x/i, '').toLowerCase());

export const port = z.number().int().min(0).max(65535);
export const asn = z.number().int().min(1).max(4294967295);

/** `ADDR:PORT`, `[V6]:PORT` or the long form. `vip` names an entry of lb.vips: each of its addresses is listened on. */
export const listener = z.union([
  z
    .string()
    .refine((s) => parseEndpoint(s) !== undefined, 'ADDR:PORT such as 192.0.2.1:1162, or [V6]:PORT')
    .transform((s) => ({ ...parseEndpoint(s)! }) as ListenerConfig),
  z
    .strictObject({
      address: ipAddress.optional(),
      vip: z.string().optional(),
      port,
      network: z.string().optional(),
      ack: z.enum(['auto', 'spool', 'export']).optional(),
      allow: z.array(cidr).min(1).optional(),
      deny: z.array(cidr).min(1).optional(),
    })
    .refine((l) => (l.address === undefined) !== (l.vip === undefined), 'exactly one of address and vip')
    .transform((l) => l as ListenerConfig),
]);

export interface ListenerConfig {
  address?: string;
  vip?: string;
  port: number;
  network?: string;
  ack?: 'auto' | 'spool' | 'export';
  /** Source prefixes that may, and may not, send or connect to this listener. */
  allow?: string[];
  deny?: string[];
}
