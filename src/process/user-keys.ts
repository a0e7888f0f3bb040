/**
 * The keys of SNMPv3 users, made once for the whole node. A passphrase costs a megabyte of hashing (RFC 3414 section 2.6), and so does the
 * privacy key on our engine where Reeder's extension makes it: threads of the supervisor do it, and workers are given the keys. No passphrase
 * goes to them.
 *
 *   configuration ─► what is missing ─► threads ─► keys ─► users as workers get them
 *
 * A user whose keys are not made has those it had before a change, else none: what it sends is refused, and until all have theirs for the
 * first time workers say that they are not ready. Workers are told when the number of keys has doubled, and at the end.
 */
import { createHash } from 'node:crypto';
import { Worker as Thread } from 'node:worker_threads';
import type { SnmpTrapConfig } from '../collectors/snmp-trap/config.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { type AuthProtocol, isCostly, type PrivProtocol } from '../protocol/usm/algorithms.ts';
import { derivedEngineId } from '../protocol/usm/engine.ts';
import type { Registry } from '../telemetry/registry.ts';
import { userKey } from './user-changes.ts';

/** To and from a thread; octets in hex. */
export interface KeyJob {
  auth: AuthProtocol;
  from: { passphrase: string } | { master: string };
  /** The privacy key on this engine, too. */
  own?: { priv: PrivProtocol; engine: string };
}
export interface MadeKey {
  ku: string;
  own?: string;
}

export interface UserKeysStatus {
  users: number;
  /** Users that wait for keys; of those, the ones that have none at all, not even old ones. */
  pending: number;
  without: number;
  /** The first keys since the start are not all made: the node takes no SNMPv3 in full. */
  starting: boolean;
}

type User = SnmpTrapConfig['users'][number];

/** A user and the names of its jobs. */
interface Wanted {
  user: User;
  auth: string | undefined;
  priv: string | undefined;
}

/** A start or a change waits so long for keys: a few hundred passphrases are hashed by then, and workers are told once. */
const WAIT_MS = 500;
/** Jobs given to a thread at once: some 50 ms of work. */
const CHUNK = 32;
/** Keys made that are worth a message to the workers. */
const WORTH = 512;
const MAX_THREADS = 4;
const RETRY_MS = 1000;

export class UserKeys {
  private readonly o: {
    clock: Clock;
    log: Logger;
    registry: Registry;
    cores: number;
    /** Other keys than before are in force. */
    onKeys: () => void;
  };
  private wanted: Wanted[] = [];
  private readonly made = new Map<string, MadeKey>();
  private readonly jobs = new Map<string, KeyJob>();
  /** Names of jobs that no thread has. */
  private queue: string[] = [];
  private readonly threads = new Set<Thread>();
  /** As they were last handed over, where they had keys. */
  private inForce = new Map<string, User>();
  private engine: string | undefined;
  private users: User[] = [];
  private starting = true;
  private state: UserKeysStatus = { users: 0, pending: 0, without: 0, starting: false };
  private handed = 0;
  private given: { from: Config; to: Config } | undefined;
  private readonly waiting = new Set<() => void>();
  private slow = false;
  private stopped = false;

  constructor(o: UserKeys['o']) {
    this.o = o;
  }

  /** The users of a configuration: what of their keys is missing is made from here on. */
  set(config: Config): void {
    const snmp = config.collectors.snmp_trap;
    const engine = snmp?.engine.id ?? derivedEngineId(config.site, config.node).toString('hex');
    if (engine !== this.engine) forgetOwn(this.inForce);
    this.engine = engine;
    this.jobs.clear();
    this.wanted = (snmp?.users ?? []).map((user) => this.plan(user, engine));
    for (const name of this.made.keys()) if (!this.jobs.has(name)) this.made.delete(name);
    this.queue = [...this.jobs.keys()].filter((name) => !this.made.has(name));
    this.hand();
    this.startThreads();
  }

  /** The first configuration: resolves when all keys are made, or when a start has waited long enough. */
  async first(config: Config): Promise<void> {
    this.set(config);
    await this.settled();
    const { users, pending } = this.state;
    this.slow = pending > 0;
    if (this.slow)
      this.o.log.warn(
        { users, pending },
        'the keys of SNMPv3 users are being made; this node is not ready before they are',
      );
  }

  /** Resolves when all keys are made, or when that takes longer than anybody should wait. Whoever waits tells the workers; `onKeys` does not. */
  async settled(): Promise<void> {
    if (this.state.pending === 0) return;
    const { clock } = this.o;
    await new Promise<void>((done) => {
      const end = (): void => {
        clock.clearTimeout(timer);
        this.waiting.delete(end);
        done();
      };
      const timer = clock.setTimeout(end, WAIT_MS);
      this.waiting.add(end);
    });
  }

  /** The configuration as workers get it: keys in place of passphrases. Of the configuration given last the same object each time. */
  forWorkers(config: Config): Config {
    const snmp = config.collectors.snmp_trap;
    if (snmp === undefined) return config;
    if (this.given?.from !== config) {
      const section: SnmpTrapConfig = { ...snmp, users: this.users, starting: this.starting || undefined };
      this.given = { from: config, to: { ...config, collectors: { ...config.collectors, snmp_trap: section } } };
    }
    return this.given.to;
  }

  status(): UserKeysStatus {
    return this.state;
  }

  stop(): void {
    this.stopped = true;
    for (const t of this.threads) void t.terminate();
  }

  private plan(user: User, engine: string): Wanted {
    const { auth, priv } = user;
    if (auth === undefined) return { user, auth: undefined, priv: undefined };
    const costly = priv !== undefined && priv.localized_key === undefined && isCostly(auth.protocol, priv.protocol);
    const own = costly ? { priv: priv.protocol, engine: user.engine_id ?? engine } : undefined;
    return { user, auth: this.job(auth.protocol, auth), priv: priv && this.job(auth.protocol, priv, own) };
  }

  /** The name of the job that makes a key; undefined where none is needed. */
  private job(
    auth: AuthProtocol,
    k: { passphrase?: string; master_key?: string },
    own?: KeyJob['own'],
  ): string | undefined {
    let job: KeyJob;
    if (k.passphrase !== undefined) job = { auth, from: { passphrase: k.passphrase }, own };
    else if (k.master_key !== undefined && own !== undefined) job = { auth, from: { master: k.master_key }, own };
    else return undefined;
    const name = createHash('sha256').update(JSON.stringify(job)).digest('latin1');
    this.jobs.set(name, job);
    return name;
  }

  /** Makes `users` of what there is. */
  private hand(): void {
    const before = this.inForce;
    const given = new Map(this.users.map((u) => [userKey(u), u]));
    this.inForce = new Map();
    let pending = 0;
    let without = 0;
    this.users = this.wanted.map((w) => {
      const key = userKey(w.user);
      let user = this.withKeys(w);
      if (user === undefined) {
        pending++;
        user = before.get(key);
      }
      const ready = user !== undefined;
      user ??= keyless(w.user);
      // One that is as it was is the same object: workers are told what is not.
      const was = given.get(key);
      if (was !== undefined && JSON.stringify(was) === JSON.stringify(user)) user = was;
      if (ready) this.inForce.set(key, user);
      else without++;
      return user;
    });
    this.starting &&= pending > 0;
    this.state = { users: this.users.length, pending, without, starting: this.starting };
    this.handed = this.made.size;
    this.given = undefined;
    this.o.registry.handle('tidegate_usm_users_pending').value = pending;
    if (pending > 0) return;
    for (const end of [...this.waiting]) end();
    if (this.slow) this.o.log.info({ users: this.users.length }, 'the keys of all SNMPv3 users are made');
    this.slow = false;
  }

  /** The user with keys in place of passphrases, or undefined where one is missing. */
  private withKeys({ user, auth, priv }: Wanted): User | undefined {
    const made = (name: string | undefined): MadeKey | undefined =>
      name === undefined ? undefined : this.made.get(name);
    const [a, p] = [made(auth), made(priv)];
    if ((auth !== undefined && a === undefined) || (priv !== undefined && p === undefined)) return undefined;
    const out = { ...user };
    if (user.auth && a) out.auth = { protocol: user.auth.protocol, master_key: a.ku };
    if (user.priv && p) {
      const { protocol } = user.priv;
      // On the one engine of a user the localised key is all that is needed.
      if (p.own !== undefined && user.engine_id !== undefined) out.priv = { protocol, localized_key: p.own };
      else out.priv = { protocol, master_key: p.ku, ...(p.own !== undefined && { localized_key: p.own }) };
    }
    return out;
  }

  private startThreads(): void {
    const most = Math.max(1, Math.min(MAX_THREADS, this.o.cores - 1));
    while (!this.stopped && this.threads.size < most && this.threads.size * CHUNK < this.queue.length)
      this.startThread();
  }

  private startThread(): void {
    const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    const thread = new Thread(new URL(`./key-thread.${extension}`, import.meta.url));
    // A stopping instance does not wait for it.
    thread.unref();
    this.threads.add(thread);
    let names: string[] = [];
    const next = (): void => {
      names = this.queue.splice(0, CHUNK);
      if (names.length > 0) thread.postMessage(names.map((n) => this.jobs.get(n)!));
      else {
        this.threads.delete(thread);
        void thread.terminate();
      }
    };
    thread.on('message', (keys: MadeKey[]) => {
      for (const [i, key] of keys.entries()) if (this.jobs.has(names[i])) this.made.set(names[i], key);
      next();
      this.progress();
    });
    thread.once('error', (e: Error) => {
      this.o.log.error({ error: e.message }, 'a thread that makes SNMPv3 keys failed; another one goes on');
      this.threads.delete(thread);
      this.queue.push(...names.filter((n) => this.jobs.has(n) && !this.made.has(n)));
      this.o.clock.setTimeout(() => this.startThreads(), RETRY_MS);
    });
    next();
  }

  private progress(): void {
    const all = this.made.size === this.jobs.size;
    if (!all && this.made.size < Math.max(WORTH, 2 * this.handed)) return;
    const waited = this.waiting.size > 0;
    this.hand();
    if (!waited || this.state.pending > 0) this.o.onKeys();
  }
}

/** Nothing is known of its keys but their protocols. */
function keyless(u: User): User {
  const { auth, priv } = u;
  return { ...u, auth: auth && { protocol: auth.protocol }, priv: priv && { protocol: priv.protocol } };
}

/** Our engine is another one: what was made for the old one is no help. */
function forgetOwn(users: Map<string, User>): void {
  for (const [name, u] of users)
    if (u.priv?.master_key !== undefined && u.priv.localized_key !== undefined)
      users.set(name, { ...u, priv: { protocol: u.priv.protocol, master_key: u.priv.master_key } });
}
