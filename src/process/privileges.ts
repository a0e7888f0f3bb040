/** Whom the workers become, and what has to belong to them. */
import { existsSync, lchownSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../core/log.ts';
import { errnoText, type Native } from '../net/native.ts';

export interface Identity {
  uid: number;
  gid: number;
}

/** `name` from /etc/passwd, or `UID` or `UID:GID`, which need not stand there (gid: as there, else as uid); undefined where there is no such user. */
export function lookUpUser(name: string): Identity | undefined {
  const plain = /^(\d{1,9})(?::(\d{1,9}))?$/.exec(name);
  if (plain?.[2] !== undefined) return { uid: Number(plain[1]), gid: Number(plain[2]) };
  const found = passwd((f) => (plain === null ? f[0] === name : f[2] === name));
  return found ?? (plain === null ? undefined : { uid: Number(name), gid: Number(name) });
}

/** Whom workers become where this is root; undefined where it is not: they stay who they are. */
export function workerIdentity(user: string, log: Logger): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = lookUpUser(user);
  if (found) return found;
  // The name of the default user is not on every machine; nobody is.
  const nobody = lookUpUser('nobody') ?? { uid: 65534, gid: 65534 };
  log.warn(
    { user, uid: nobody.uid },
    `there is no user ${user}; workers run as uid ${nobody.uid}: create it, or set user:`,
  );
  return nobody;
}

function passwd(fits: (fields: string[]) => boolean): Identity | undefined {
  let text: string;
  try {
    text = readFileSync('/etc/passwd', 'utf8');
  } catch {
    return undefined;
  }
  for (const line of text.split('\n')) {
    const f = line.split(':');
    if (fits(f)) return { uid: Number(f[2]), gid: Number(f[3]) };
  }
  return undefined;
}

/** Makes a tree belong to `who`, where it does not yet. Bounded by what tidegate itself puts there. */
export function chownTree(path: string, who: Identity): void {
  if (!existsSync(path)) return;
  // Never through a link: what is below belongs to `who`, who could point one at anything.
  const s = lstatSync(path);
  if (s.uid !== who.uid || s.gid !== who.gid) lchownSync(path, who.uid, who.gid);
  if (!s.isDirectory()) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) chownTree(child, who);
    else lchownSync(child, who.uid, who.gid);
  }
}

/** Numbers of capabilities (linux/capability.h). */
export const CAP = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  FOWNER: 3,
  KILL: 5,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  NET_BIND_SERVICE: 10,
  NET_ADMIN: 12,
  NET_RAW: 13,
  SYS_NICE: 23,
} as const;

export type Capability = keyof typeof CAP;

const KEEP: Record<'supervisor' | 'speaker', readonly Capability[]> = {
  // Sockets and addresses; children that become somebody else, what belongs to them, and their end; what the speaker needs, to hand it on.
  supervisor: Object.keys(CAP) as Capability[],
  speaker: ['NET_BIND_SERVICE', 'NET_ADMIN', 'NET_RAW'],
};

/**
 * Of a process that runs as root only what it needs is left. Returns why it could not be done; undefined where it was, or where there is
 * nothing to give up. A speaker whose data_dir is somebody else's goes on overriding file permissions.
 */
export function limitRoot(role: 'supervisor' | 'speaker', native: Native | undefined): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (!native) return 'without the add-on every capability of root stays';
  const keep = [...KEEP[role]];
  if (role === 'speaker' && statSync('.').uid !== 0) keep.push('DAC_OVERRIDE');
  const errno = native.limitCapabilities(keep.reduce((mask, c) => mask + 2 ** CAP[c], 0));
  return errno === 0 ? undefined : `every capability of root stays: ${errnoText(errno)}`;
}

/** Gives up root for good: supplementary groups first, then group, then user. */
export function dropTo(who: Identity): void {
  process.setgroups?.([who.gid]);
  process.setgid?.(who.gid);
  process.setuid?.(who.uid);
}
