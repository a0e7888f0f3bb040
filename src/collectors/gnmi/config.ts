/** The section `collectors.gnmi`. Certificates and keys are PEM text, so write `${file:/etc/tidegate/ca.pem}`. */
import { z } from 'zod';
import { parsePath } from '../../codec/gnmi/path.ts';
import { ENCODINGS, type Path, STREAM_MODES } from '../../codec/gnmi/types.ts';
import { duration, durationOr, sizeOr } from '../../config/fields.ts';

const name = z.string().regex(/^[A-Za-z0-9._:@-]{1,128}$/, 'letters, digits and . _ : @ -, at most 128 characters');

/** A device name may stand where other sections want an address: a dialled target can be found by DNS. */
const endpoint = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, 'HOST:PORT such as router-1.example:57400, or [V6]:PORT')
  .refine((s) => {
    const port = Number(s.slice(s.lastIndexOf(':') + 1));
    return port > 0 && port < 65536;
  }, 'a port from 1 to 65535');

const pem = z
  .string()
  .refine((s) => s.includes('-----BEGIN '), 'PEM text: write ${file:/path/to/file.pem} to read it from a file');

/** User and password travel as gRPC metadata, which carries nothing else. */
const header = z.string().regex(/^[\x20-\x7e]*$/, 'printable ASCII characters');

const path = z.string().transform((text, ctx): Path => {
  const parsed = parsePath(text);
  if (typeof parsed !== 'string') return parsed;
  ctx.addIssue({ code: 'custom', message: `a gNMI path such as /interfaces/interface[name=eth0]/state: ${parsed}` });
  return z.NEVER;
});

const tls = z.union([
  z.literal(false),
  z
    .strictObject({
      enabled: z.boolean().default(true).meta({ description: 'false: plaintext' }),
      ca: pem.optional().meta({ description: 'absent: the roots Node trusts' }),
      cert: pem.optional(),
      key: pem.optional(),
      server_name: z.string().min(1).max(253).optional(),
      skip_verify: z.boolean().default(false),
    })
    .refine((t) => (t.cert === undefined) === (t.key === undefined), 'cert and key together, or neither'),
]);

const target = z.strictObject({
  name: name.meta({ description: 'appears in events and is matched by the inventory’s `target`' }),
  address: endpoint,
  network: z.string().min(1).optional(),
  username: header.min(1).max(256).optional(),
  password: header.max(1024).optional(),
  tls: tls.prefault({}).meta({ description: 'absent: TLS with the roots Node trusts; false: plaintext' }),
  subscriptions: z.array(z.string()).min(1).max(32),
});

const subscription = z
  .strictObject({
    paths: z.array(path).min(1).max(256),
    mode: z.literal('stream').default('stream'),
    stream_mode: z.enum(STREAM_MODES).default('target-defined'),
    sample_interval: duration.optional().meta({ description: 'sample only; absent: as fast as the target likes' }),
    heartbeat_interval: duration.optional(),
    suppress_redundant: z.boolean().default(false),
    encoding: z.enum(ENCODINGS).default('json'),
    updates_only: z.boolean().default(false),
    origin: z.string().min(1).max(64).optional().meta({ description: 'for paths that name none themselves' }),
    prefix: path.optional(),
    target: z.string().min(1).max(256).optional().meta({ description: 'the `target` of the request’s prefix' }),
    qos: z.number().int().min(0).max(63).optional().meta({ description: 'DSCP the target marks its answers with' }),
  })
  .refine((s) => s.sample_interval === undefined || s.stream_mode !== 'on-change', {
    message: 'sample_interval has no meaning with stream_mode on-change',
    path: ['sample_interval'],
  });

export const gnmiConfig = z
  .strictObject({
    targets: z.array(target).max(10_000).default([]),
    subscriptions: z.record(name, subscription).default({}),
    connect_timeout: durationOr('10s'),
    keepalive: durationOr('310s').meta({
      description:
        'PING after so much silence; many targets close a connection that is pinged more often than each 5 minutes; 0: never',
    }),
    max_message: sizeOr('16MiB'),
  })
  .superRefine((c, ctx) => {
    const seen = new Set<string>();
    c.targets.forEach((t, i) => {
      if (seen.has(t.name)) {
        ctx.addIssue({
          code: 'custom',
          path: ['targets', i, 'name'],
          message: `a name of its own: ${t.name} is taken`,
        });
      }
      seen.add(t.name);
      if (new Set(t.subscriptions).size !== t.subscriptions.length) {
        ctx.addIssue({ code: 'custom', path: ['targets', i, 'subscriptions'], message: 'each subscription once' });
      }
    });
  });

export type GnmiConfig = z.output<typeof gnmiConfig>;
export type GnmiTargetConfig = GnmiConfig['targets'][number];
export type GnmiSubscriptionConfig = GnmiConfig['subscriptions'][string];
