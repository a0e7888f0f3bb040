/** BGP Role, RFC 9234: what two neighbours are to each other, and what an OPEN that says otherwise is answered. */
import { Buffer } from 'node:buffer';
import type { Capability } from '../../codec/bgp/types.ts';

export const ROLES = ['provider', 'rs', 'rs-client', 'customer', 'peer'] as const;
/** Of the speaker that says it; its place in the list is its value on the wire. */
export type Role = (typeof ROLES)[number];

const CODE = 9;

/** Section 4.2: who may face whom. */
const FACING: Record<Role, Role> = {
  provider: 'customer',
  customer: 'provider',
  rs: 'rs-client',
  'rs-client': 'rs',
  peer: 'peer',
};

export function roleCapability(role: Role): Capability {
  return { name: 'raw', code: CODE, value: Buffer.of(ROLES.indexOf(role)).toString('hex') };
}

/** What an OPEN says, each value once, as text; a value that is none of the registry's is its number. */
export function rolesOf(capabilities: readonly Capability[]): string[] {
  const out = new Set<string>();
  for (const c of capabilities)
    if (c.name === 'raw' && c.code === CODE && c.value.length === 2) {
      const value = Number.parseInt(c.value, 16);
      out.add(ROLES[value] ?? String(value));
    }
  return [...out];
}

/** Why the peer's OPEN is answered with Role Mismatch; undefined where it fits. `strict`: it has to say its role. */
export function roleProblem(
  ours: Role,
  strict: boolean,
  capabilities: readonly Capability[],
  external: boolean,
): string | undefined {
  // The capability has no meaning within an AS.
  if (!external) return undefined;
  const theirs = rolesOf(capabilities);
  const wanted = FACING[ours];
  if (theirs.length === 0) return strict ? `the peer says no BGP role, ${wanted} is asked for` : undefined;
  if (theirs.length === 1 && theirs[0] === wanted) return undefined;
  return `the peer’s BGP role is ${theirs.join(' and ')}, beside ours (${ours}) it has to be ${wanted}`;
}
