/** Whom the workers become, and what has to belong to them. */
import { existsSync, lchownSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Identity {
  uid: number;
  gid: number;
}

/** `name` from /etc/passwd; undefined where there is no such user. */
export function lookUpUser(name: string): Identity | undefined {
  let text: string;
  try {
    text = readFileSync('/etc/passwd', 'utf8');
  } catch {
    return undefined;
  }
  for (const line of text.split('\n')) {
    const f = line.split(':');
    if (f[0] === name) return { uid: Number(f[2]), gid: Number(f[3]) };
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

/** Gives up root for good: supplementary groups first, then group, then user. */
export function dropTo(who: Identity): void {
  process.setgroups?.([who.gid]);
  process.setgid?.(who.gid);
  process.setuid?.(who.uid);
}
