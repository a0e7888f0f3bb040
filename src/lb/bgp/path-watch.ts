/**
 * BFD beside a BGP session (RFC 5882): the path is watched from the first Established session on, whoever dials after it.
 *
 * A change of intervals is said to the other side in a poll sequence. Where BFD is taken out of the configuration, or becomes another kind of
 * session, the one that runs is not ended: routers take the end for a broken path, also where it says AdminDown. It goes on, no longer asked,
 * until the other side ends it or the BGP session does.
 */
import type { BfdConfig } from '../bfd/config.ts';
import type { BfdManager, BfdSession, BfdStatus } from '../bfd/session.ts';
import type { BgpPeerConfig } from './config.ts';

export interface PathWatchOptions {
  /** Absent: no BFD. */
  manager: BfdManager | undefined;
  device(): string | undefined;
  /** The path broke. */
  onDown(): void;
  onState(from: string, to: string): void;
}

export class PathWatch {
  private readonly o: PathWatchOptions;
  private session: BfdSession | undefined;
  private readonly retired = new Set<BfdSession>();

  constructor(options: PathWatchOptions) {
    this.o = options;
  }

  /** The session with `p` stands and our end of it is `local`, or (undefined) there is none now; called again when either changes. */
  watch(p: BgpPeerConfig, at: string | undefined): void {
    const { manager } = this.o;
    const { session } = this;
    if (!p.bfd || !manager) {
      if (at === undefined) this.end();
      else if (session) this.retire(session);
      return;
    }
    const local = at ?? session?.peer.local;
    if (local === undefined) return;
    if (session && session.peer.local !== local) {
      session.stop();
      this.session = undefined;
    }
    const multihop = isMultihop(p, p.bfd);
    if (this.session && this.session.peer.multihop !== multihop) this.retire(this.session);
    if (this.session) {
      this.session.configure(p.bfd);
      return;
    }
    const back = [...this.retired].find((r) => r.peer.local === local && r.peer.multihop === multihop);
    if (back) {
      this.retired.delete(back);
      this.session = back;
      back.configure(p.bfd);
      return;
    }
    const started: BfdSession = manager.watch({
      peer: p.address,
      local,
      device: this.o.device(),
      multihop,
      config: p.bfd,
      onState: (to, from, admin) => this.changed(started, to, from, admin),
    });
    this.session = started;
  }

  /** The BGP session is down; what is watched goes on, so that its next one begins with a path that is known. */
  sessionDown(): void {
    for (const r of this.retired) r.stop();
    this.retired.clear();
  }

  /** For good. */
  end(): void {
    this.sessionDown();
    this.session?.stop();
    this.session = undefined;
  }

  status(): BfdStatus | undefined {
    if (this.session) return this.session.status();
    const [last] = this.retired;
    return last && { ...last.status(), ending: true };
  }

  private retire(session: BfdSession): void {
    if (this.session === session) this.session = undefined;
    if (session.state === 'Up') this.retired.add(session);
    else session.stop();
  }

  private changed(session: BfdSession, to: string, from: string, admin: boolean): void {
    if (this.retired.delete(session)) {
      session.stop();
      return;
    }
    this.o.onState(from, to);
    // RFC 5882 section 3.2: switched off on purpose says nothing about the path.
    if (from === 'Up' && !admin) this.o.onDown();
  }
}

function isMultihop(p: BgpPeerConfig, bfd: BfdConfig): boolean {
  return bfd.multihop ?? (p.multihop ?? 1) > 1;
}
