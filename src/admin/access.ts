/** Who may do what over the network: tokens and client certificates, roles, and a limit on guessing. Sees no socket. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AdminApiConfig } from '../config/admin.ts';
import type { Clock } from '../core/clock.ts';
import { parseIp } from '../core/ip.ts';

export type AdminRole = 'viewer' | 'operator' | 'admin';

export interface Actor {
  /** As it stands in audit events. */
  name: string;
  role: AdminRole;
}

/** missing: no credentials; wrong: none we know; limited: too many wrong ones from this source, nothing was compared. */
export type Refusal = 'missing' | 'wrong' | 'limited';

const RANK: Record<AdminRole, number> = { viewer: 1, operator: 2, admin: 3 };

/** Does the actor's role include `role`? */
export function includes(actor: Actor, role: AdminRole): boolean {
  return RANK[actor.role] >= RANK[role];
}

/** Wrong logins a source has in a window. */
export const MAX_FAILURES = 10;
export const FAILURE_WINDOW_MS = 60_000;
/** Sources remembered; the oldest is forgotten first. */
export const MAX_SOURCES = 4096;

export interface AccessOptions {
  tokens: AdminApiConfig['tokens'];
  certificates: AdminApiConfig['certificates'];
  clock: Clock;
  /** For the counter. */
  onRefused: (why: Refusal) => void;
  /** A source has used up its failures; once a window. */
  onLimited: (source: string) => void;
}

export class Access {
  private readonly o: AccessOptions;
  private readonly tokens: { digest: Buffer; actor: Actor }[];
  private readonly subjects: Map<string, Actor>;
  private readonly failures = new Map<string, { since: number; count: number }>();

  constructor(o: AccessOptions) {
    this.o = o;
    this.tokens = o.tokens.map((t) => ({ digest: digest(t.token), actor: { name: t.name, role: t.role } }));
    this.subjects = new Map(o.certificates.map((c) => [c.subject, { name: c.subject, role: c.role }]));
  }

  /**
   * `authorization`: the header. `subject`: the CN of a certificate that was verified against client_ca. A header, where there is one, decides alone.
   */
  login(source: string, authorization: string | undefined, subject: string | undefined): Actor | Refusal {
    const found = this.find(sourceKey(source), source, authorization, subject);
    if (typeof found === 'string') this.o.onRefused(found);
    return found;
  }

  /** Sources that are remembered now. */
  get sources(): number {
    return this.failures.size;
  }

  private find(key: string, source: string, header: string | undefined, subject: string | undefined): Actor | Refusal {
    if (header === undefined) {
      // Nothing here can be guessed: the certificate was verified before.
      if (subject === undefined) return 'missing';
      return this.subjects.get(subject) ?? 'wrong';
    }
    if (this.limited(key)) return 'limited';
    const token = /^Bearer +(\S{1,512})$/i.exec(header)?.[1] ?? '';
    const given = digest(token);
    let actor: Actor | undefined;
    // Every token is compared, whichever fits: the time says nothing.
    for (const t of this.tokens) if (timingSafeEqual(t.digest, given)) actor = t.actor;
    if (actor !== undefined) return actor;
    this.fail(key, source);
    return 'wrong';
  }

  private limited(key: string): boolean {
    const f = this.failures.get(key);
    return f !== undefined && f.count >= MAX_FAILURES && this.o.clock.nowMs() - f.since < FAILURE_WINDOW_MS;
  }

  private fail(key: string, source: string): void {
    const now = this.o.clock.nowMs();
    const f = this.failures.get(key);
    if (f !== undefined && now - f.since < FAILURE_WINDOW_MS) {
      f.count++;
      if (f.count === MAX_FAILURES) this.o.onLimited(source);
      return;
    }
    // A new window stands at the end of the map's order.
    this.failures.delete(key);
    if (this.failures.size >= MAX_SOURCES) this.failures.delete(this.failures.keys().next().value!);
    this.failures.set(key, { since: now, count: 1 });
  }
}

/** One customer has a whole /64 of IPv6. */
function sourceKey(source: string): string {
  const bytes = parseIp(source);
  if (bytes === undefined || bytes.length === 4) return source;
  const mapped = bytes.subarray(0, 10).every((b) => b === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return (mapped ? bytes : bytes.subarray(0, 8)).toString('hex');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
