/** The configuration file as a whole. Each section stands beside the component it configures; here they meet. */
import { hostname } from 'node:os';
import { z } from 'zod';
import { clusterConfig } from '../cluster/config.ts';
import { bgpCollectorConfig } from '../collectors/bgp/config.ts';
import { bmpConfig } from '../collectors/bmp/config.ts';
import { gnmiConfig } from '../collectors/gnmi/config.ts';
import { snmpTrapConfig } from '../collectors/snmp-trap/config.ts';
import { exportConfig } from '../export/config.ts';
import { lbConfig } from '../lb/config.ts';
import { adminConfig } from './admin.ts';
import { sizeOr } from './fields.ts';

const name = z.string().regex(/^[A-Za-z0-9._-]{1,63}$/, 'letters, digits, dot, dash and underscore, at most 63');

/** A collector's section may be empty (`bmp:`): all its defaults. */
const section = <T extends z.ZodType>(schema: T) => z.preprocess((v) => (v === null ? {} : v), schema).optional();

export const configSchema = z.strictObject({
  site: name.default('default'),
  node: name.prefault(() =>
    hostname()
      .replace(/[^A-Za-z0-9._-]/g, '-')
      .slice(0, 63),
  ),
  data_dir: z.string().min(1).default('./data'),
  workers: z.union([z.literal('auto'), z.number().int().min(1).max(64)]).default('auto'),
  user: z
    .string()
    .min(1)
    .default('tidegate')
    .meta({ description: 'whom workers become when started as root: a name, or `UID` or `UID:GID` in quotes' }),
  networks: z.record(name, z.strictObject({ device: z.string().min(1).max(15).optional() })).default({}),
  inventory: z.strictObject({ file: z.string().min(1) }).optional(),
  mibs: z
    .strictObject({
      paths: z
        .array(z.string().min(1))
        .default([])
        .meta({ description: 'folders and files of MIB modules, or tables that `tidegate mib compile` made' }),
    })
    .prefault({}),
  alarms: z
    .strictObject({
      file: z.string().min(1).optional().meta({ description: 'alarm rules, tried before the built-in ones' }),
    })
    .prefault({}),
  collectors: z
    .strictObject({
      snmp_trap: section(snmpTrapConfig),
      bmp: section(bmpConfig),
      bgp: section(bgpCollectorConfig),
      gnmi: section(gnmiConfig),
    })
    .optional()
    .transform((c) => c ?? undefined),
  lb: lbConfig.prefault({}),
  cluster: clusterConfig.optional(),
  export: exportConfig.prefault({}),
  spool: z
    .strictObject({
      max_bytes: sizeOr('10GiB'),
      high_water: z.number().min(0.05).max(1).default(0.8),
      low_water: z.number().min(0.01).max(1).default(0.6),
      max_unsynced_bytes: sizeOr('64MiB'),
      retain: sizeOr('1GiB'),
    })
    .refine((s) => s.low_water < s.high_water, 'low_water below high_water')
    .refine((s) => s.max_bytes >= 16 * 2 ** 20, 'max_bytes of at least 16MiB')
    .prefault({}),
  admin: adminConfig.prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
});

type Parsed = z.output<typeof configSchema>;

/** What components are given: validated, with every default in place. `collectors` has a key for each collector that runs. */
export type Config = Omit<Parsed, 'collectors'> & { collectors: NonNullable<Parsed['collectors']> };
