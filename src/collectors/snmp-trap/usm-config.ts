/** The SNMPv3 part of `collectors.snmp_trap`: our engine, the users, and what is known of sending engines. */
import { z } from 'zod';
import { engineId, hexOctets } from '../../config/fields.ts';
import { AUTH, AUTH_PROTOCOLS, PRIV, PRIV_PROTOCOLS } from '../../protocol/usm/algorithms.ts';
import { MAX_BOOTS } from '../../protocol/usm/timeliness.ts';

const DEFAULT_EPOCH = '2026-01-01T00:00:00Z';

const key = {
  passphrase: z
    .string()
    .min(8, 'a passphrase of at least 8 characters (RFC 3414 section 11.2)')
    .max(1024)
    .optional()
    .meta({ description: 'as on the device; hashed once at load' }),
  master_key: hexOctets
    .optional()
    .meta({ description: 'Ku in hex: what the passphrase hashes to, the same for every engine' }),
  localized_key: hexOctets.optional().meta({ description: 'Kul in hex, for the engine of `engine_id`' }),
};

const ONE_KEY = 'exactly one of passphrase, master_key and localized_key';

interface KeyFields {
  passphrase?: string;
  master_key?: string;
  localized_key?: string;
}

function keysGiven(k: KeyFields): number {
  return [k.passphrase, k.master_key, k.localized_key].filter((v) => v !== undefined).length;
}

const timeliness = z.enum(['strict', 'monotonic', 'off']);

const user = z
  .strictObject({
    name: z.string().min(1).max(32).meta({ description: 'msgUserName, as on the device' }),
    engine_id: engineId.optional().meta({ description: 'only on this engine; absent: on any, ours included' }),
    auth: z
      .strictObject({ protocol: z.enum(AUTH_PROTOCOLS), ...key })
      .refine((a) => keysGiven(a) === 1, ONE_KEY)
      .optional(),
    priv: z
      .strictObject({ protocol: z.enum(PRIV_PROTOCOLS), ...key })
      .refine((p) => keysGiven(p) === 1, ONE_KEY)
      .optional(),
    level: z.enum(['noAuthNoPriv', 'authNoPriv', 'authPriv']).optional().meta({
      description: 'the least security a message must have; absent: all that the keys make possible',
    }),
    timeliness: timeliness
      .optional()
      .meta({ description: 'of the engines that send as this user; an entry of `engines` says otherwise for one' }),
  })
  .superRefine((u, ctx) => {
    const say = (path: string[], message: string): void => {
      ctx.addIssue({ code: 'custom', path, message });
    };
    if (Buffer.byteLength(u.name) > 32) say(['name'], 'at most 32 octets (RFC 3414 section 2.4)');
    if (u.priv && !u.auth) {
      say(['priv'], 'privacy needs authentication (RFC 3411 section 3.4.3): add `auth`, or remove `priv`');
      return;
    }
    if (u.level === 'authPriv' && !u.priv) say(['level'], 'authPriv needs `priv`');
    if (u.level === 'authNoPriv' && !u.auth) say(['level'], 'authNoPriv needs `auth`');
    for (const part of ['auth', 'priv'] as const) {
      const k = u[part];
      if (!k) continue;
      if (k.localized_key !== undefined && u.engine_id === undefined)
        say([part, 'localized_key'], 'a localised key belongs to one engine: add `engine_id`, or give the master_key');
      if (!u.auth) continue;
      const hash = AUTH[u.auth.protocol].length;
      if (k.master_key !== undefined && k.master_key.length !== 2 * hash)
        say([part, 'master_key'], `a master key of ${u.auth.protocol} has ${hash} octets`);
      const least = part === 'auth' ? hash : PRIV[(k as { protocol: keyof typeof PRIV }).protocol].key;
      const most = part === 'auth' ? hash : 64;
      const length = (k.localized_key?.length ?? 2 * least) / 2;
      if (length < least || length > most)
        say([part, 'localized_key'], `a localised key of ${k.protocol} has ${least} octets`);
    }
  });

export const usmConfig = {
  engine: z
    .strictObject({
      id: engineId.optional().meta({
        description: 'snmpEngineID of all nodes of a VIP; devices localise their keys with it, so it never changes',
      }),
      boots: z
        .number()
        .int()
        .min(1)
        .max(MAX_BOOTS - 1)
        .default(1)
        .meta({ description: 'snmpEngineBoots; raise it on all nodes when `epoch` is moved forward' }),
      epoch: z
        .string()
        .refine((t) => !Number.isNaN(Date.parse(t)) && /Z|[+-]\d\d:\d\d$/.test(t), `a time such as ${DEFAULT_EPOCH}`)
        .default(DEFAULT_EPOCH)
        .meta({ description: 'engineTime is UTC minus this' }),
    })
    .prefault({}),
  users: z
    .array(user)
    .default([])
    .superRefine((users, ctx) => {
      const seen = new Map<string, number>();
      users.forEach((u, i) => {
        const name = `${u.engine_id ?? ''} ${u.name}`;
        const other = seen.get(name);
        if (other !== undefined)
          ctx.addIssue({
            code: 'custom',
            path: [i, 'name'],
            message: `user ${u.name} stands twice for the same engine: remove one, or give each its engine_id`,
          });
        seen.set(name, i);
      });
    }),
  engines: z
    .array(z.strictObject({ id: engineId, timeliness: timeliness.optional() }))
    .default([])
    .meta({ description: 'sending engines that are expected: no budget for them; and their timeliness' }),
  new_engines: z
    .strictObject({
      per_source: z.number().positive().max(1_000_000).default(20),
      total: z.number().positive().max(1_000_000).default(2000),
      cache: z.number().int().min(100).max(10_000_000).default(50_000),
    })
    .prefault({})
    .meta({
      description:
        'engines never heard before, a second, of a user for any engine (each worker has its share of `total`); engines remembered by each worker',
    }),
  reports: z
    .strictObject({
      per_source: z.number().positive().max(1_000_000).default(50),
      total: z.number().positive().max(1_000_000).default(5000),
    })
    .prefault({})
    .meta({ description: 'Report PDUs a second; each worker has its share of `total`' }),
};
