/** `admin:` of the configuration file: the doors of an instance. */
import { z } from 'zod';
import { parseEndpoint } from '../core/ip.ts';

const endpoint = z
  .string()
  .refine((s) => parseEndpoint(s) !== undefined, 'ADDR:PORT such as 127.0.0.1:9600, or [V6]:PORT')
  .transform((s) => parseEndpoint(s)!);

const file = z.string().min(1);

const role = z.enum(['viewer', 'operator', 'admin']);

/** Who somebody is in audit events. `local` is who comes over the socket. */
const who = z
  .string()
  .regex(/^[A-Za-z0-9._@-]{1,64}$/, 'letters, digits, dot, dash, underscore and @, at most 64')
  .refine((s) => s !== 'local', 'another name: `local` is who comes over admin.socket');

const api = z
  .strictObject({
    listen: endpoint,
    tls: z
      .strictObject({
        cert: file.describe('PEM file'),
        key: file.describe('PEM file'),
        client_ca: file.optional().describe('PEM file: whose client certificates are accepted'),
      })
      .optional()
      .describe('required unless `listen` is loopback'),
    tokens: z
      .array(
        z.strictObject({
          name: who,
          role,
          token: z
            .string()
            .regex(/^[\x21-\x7e]{16,512}$/, '16 to 512 visible ASCII characters')
            .describe('16 to 512 characters, as `${file:…}`'),
        }),
      )
      .max(100)
      .default([]),
    certificates: z
      .array(z.strictObject({ subject: who.describe('common name (CN)'), role }))
      .max(100)
      .default([]),
  })
  .superRefine((a, ctx) => {
    const say = (path: PropertyKey[], message: string): void => {
      ctx.addIssue({ code: 'custom', path, message });
    };
    if (a.tokens.length === 0 && a.tls?.client_ca === undefined)
      say([], 'an API somebody can log in to: give `tokens`, or `tls.client_ca` and `certificates`');
    if (a.tls === undefined && !isLoopback(a.listen.address))
      say(['tls'], 'given (cert, key), as the listen address is not loopback');
    if (a.certificates.length > 0 && a.tls?.client_ca === undefined)
      say(['tls', 'client_ca'], 'given, as the `certificates` are checked against it');
    if (a.certificates.length === 0 && a.tls?.client_ca !== undefined)
      say(['certificates'], 'given with tls.client_ca: which subject has which role');
    const names = [...a.tokens.map((t) => t.name), ...a.certificates.map((c) => c.subject)];
    names.forEach((n, i) => {
      if (names.indexOf(n) === i) return;
      const t = a.tokens.length;
      say(i < t ? ['tokens', i, 'name'] : ['certificates', i - t, 'subject'], 'a name that stands once');
    });
  });

export type AdminApiConfig = z.output<typeof api>;

export const adminConfig = z.strictObject({
  listen: endpoint.prefault('127.0.0.1:9600'),
  speaker_listen: endpoint.prefault('127.0.0.1:9601'),
  socket: z.string().min(1).max(100).default('admin.sock'),
  api: api.optional(),
});

function isLoopback(address: string): boolean {
  return address === '::1' || /^127(\.\d{1,3}){3}$/.test(address);
}
