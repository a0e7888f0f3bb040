/** `lb.bgp:` of the configuration file. */
import { z } from 'zod';
import { asn, duration, durationOr, ipAddress, port } from '../../config/fields.ts';
import { parseEndpoint, parseIp } from '../../core/ip.ts';
import { ROLES } from '../../protocol/bgp/role.ts';
import { bfdConfig } from '../bfd/config.ts';
import { addCommunity, COMMUNITY_FORMS } from './communities.ts';

export const bgpId = z
  .string()
  .refine((s) => parseIp(s)?.length === 4 && s !== '0.0.0.0', 'four numbers such as 192.0.2.1, not 0.0.0.0')
  .meta({ description: 'the BGP identifier', examples: ['192.0.2.1'] });

/** RFC 4271 4.2: 0, or at least three seconds. */
const holdTime = duration
  .refine((ms) => ms === 0 || (ms >= 3000 && ms <= 65_535_000 && ms % 1000 === 0), '0, or whole seconds from 3s on')
  .prefault('9s');

const nextHop = z
  .union([z.literal('self'), ipAddress, z.array(ipAddress).min(1).max(2)])
  .refine((v) => {
    if (!Array.isArray(v) || v.length < 2) return true;
    return v[0].includes(':') !== v[1].includes(':');
  }, 'at most one address of each family')
  .default('self')
  .meta({ description: 'next hop of our routes: `self` (our address of the session), or one address a family' });

const interfaceName = z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,14}$/, 'an address, or the name of an interface');

const u32 = z.number().int().min(0).max(0xffffffff);

const peer = z.strictObject({
  address: ipAddress,
  port: port.min(1).default(179),
  asn,
  local_asn: asn.optional().meta({ description: 'our AS towards this peer, in place of lb.bgp.asn' }),
  local_address: z
    .union([ipAddress, interfaceName])
    .optional()
    .meta({ description: 'our end of the session: an address, or the interface whose address it is' }),
  network: z.string().min(1).optional().meta({ description: 'an entry of networks: the VRF or interface to bind to' }),
  hold_time: holdTime,
  connect_retry: durationOr('5s').refine((ms) => ms >= 100, 'at least 100ms'),
  multihop: z.number().int().min(1).max(255).optional().meta({
    description: 'TTL or hop limit of what is sent to the peer; absent: the kernel’s. Needs the native add-on',
  }),
  gtsm: z
    .union([z.boolean(), z.number().int().min(1).max(254)])
    .default(false)
    .meta({
      description:
        'RFC 5082: 255 is sent, and less than 255 (a number: than 256 minus so many hops) is dropped by the kernel. Needs the add-on',
    }),
  password: z.string().min(1, 'not empty').max(80).optional().meta({
    description: 'TCP-MD5 (RFC 2385). Needs the add-on; without it no session is attempted',
  }),
  tcp_ao: z
    .strictObject({
      send_id: z.number().int().min(0).max(255),
      recv_id: z.number().int().min(0).max(255),
      algorithm: z.enum(['hmac-sha-1-96', 'aes-128-cmac-96']).default('hmac-sha-1-96'),
      secret: z.string().min(1, 'not empty').max(80),
    })
    .optional()
    .meta({
      description:
        'TCP-AO (RFC 5925), in place of a password. Needs the add-on and a kernel with CONFIG_TCP_AO; without it no session is attempted',
    }),
  role: z
    .union([
      z.enum(ROLES).transform((name) => ({ name, strict: false })),
      z.strictObject({ name: z.enum(ROLES), strict: z.boolean().default(false) }),
    ])
    .optional()
    .meta({
      description:
        'RFC 9234: what we are to the peer (provider, rs, rs-client, customer, peer), or {name, strict: true} to ask that it says what it is. A router that says what does not face it is refused with Role Mismatch',
    }),
  passive: z.boolean().default(false).meta({ description: 'wait for the peer to dial; needs lb.bgp.listen' }),
  next_hop: nextHop,
  bfd: bfdConfig.optional().meta({
    description:
      'RFC 5880: true, or {interval, receive_interval, multiplier, multihop, min_ttl, passive}. Needs the add-on',
  }),
  families: z
    .array(z.enum(['ipv4', 'ipv6']))
    .min(1)
    .default(['ipv4', 'ipv6']),
  vips: z.array(z.string().min(1)).optional().meta({ description: 'only these VIPs; absent: all' }),
  nodes: z.array(z.string().min(1)).optional().meta({
    description:
      'only nodes whose name fits one of these, * standing for anything; absent: all. One file for all nodes',
  }),
  communities: z.array(z.string().min(1)).max(64).default([]).meta({ description: COMMUNITY_FORMS }),
  med: u32
    .max(0xffffffff - 1000)
    .default(0)
    .meta({ description: 'of a full node; a degraded one says 1000 more' }),
  local_pref: u32.default(100).meta({ description: 'iBGP, of a full node; a degraded one says 0' }),
  prepend: z.number().int().min(0).max(16).default(0).meta({
    description: 'eBGP: our AS so many times more; a degraded node adds three',
  }),
});

const endpoint = z
  .string()
  .refine((s) => {
    const e = parseEndpoint(s);
    return e !== undefined && parseIp(e.address) !== undefined;
  }, 'ADDR:PORT or [V6]:PORT')
  .meta({ examples: ['192.0.2.1:179'] });

export const bgpConfig = z
  .strictObject({
    asn,
    router_id: bgpId.optional(),
    listen: z.array(endpoint).default([]).meta({
      description: 'where peers may dial us; RFC 4271 section 6.8 decides between two connections',
    }),
    graceful_restart: z
      .strictObject({
        restart_time: durationOr('10s').refine((ms) => ms >= 1000 && ms <= 4_095_000, 'from 1s to 4095s'),
      })
      .optional()
      .meta({
        description:
          'RFC 4724, for a speaker that died while the workers live: peers keep our routes meanwhile. A drain or stop never uses it',
      }),
    communities: z
      .record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/), z.string())
      .default({})
      .meta({
        description: 'names for communities',
      }),
    peers: z.array(peer).default([]),
  })
  .superRefine((b, ctx) => {
    const known = (text: string) => addCommunity({ standard: [], large: [], extended: [] }, text, b.asn, b.communities);
    const peers = new Set<string>();
    for (const [i, p] of b.peers.entries()) {
      const say = (key: string, message: string, more: (string | number)[] = []) =>
        ctx.addIssue({ code: 'custom', path: ['peers', i, key, ...more], message });
      if (peers.has(p.address)) say('address', 'a peer once');
      peers.add(p.address);
      if (/^fe[89ab]/i.test(p.address)) say('address', 'no link-local address');
      if (p.local_address !== undefined && parseIp(p.local_address) !== undefined)
        if (p.local_address.includes(':') !== p.address.includes(':'))
          say('local_address', 'an address of the same family as `address`');
      if (p.passive && b.listen.length === 0) say('passive', 'false, or lb.bgp.listen with an address');
      if (p.password !== undefined && p.tcp_ao !== undefined) say('tcp_ao', 'either password or tcp_ao');
      if (p.role !== undefined && (p.local_asn ?? b.asn) === p.asn)
        say('role', 'absent: within an AS there are no roles');
      if (p.gtsm !== false && p.multihop !== undefined) say('gtsm', 'either gtsm or multihop: gtsm sends 255');
      for (const [j, c] of p.communities.entries()) if (!known(c)) say('communities', COMMUNITY_FORMS, [j]);
    }
    for (const [name, value] of Object.entries(b.communities))
      if (!addCommunity({ standard: [], large: [], extended: [] }, value, b.asn, {}))
        ctx.addIssue({ code: 'custom', path: ['communities', name], message: COMMUNITY_FORMS });
  });

export type BgpConfig = z.output<typeof bgpConfig>;
export type BgpPeerConfig = BgpConfig['peers'][number];
