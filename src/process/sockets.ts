/** The supervisor's sockets: opened without reading, one per worker and listener, and kept for the life of the instance. */
import { loadNative, nativeProblem } from '../net/native.ts';
import { closeSockets, openSockets, type SocketGroup } from '../net/open.ts';
import { openTcpListener } from '../net/tcp.ts';
import { openUdpSocket } from '../net/udp.ts';
import type { Listen } from './messages.ts';

export interface Opened {
  /** In the order of `listens`. `fds` by worker; empty where the worker has to bind itself. */
  sockets: SocketGroup[];
  /** With the real ports. */
  listens: Listen[];
  workers: number;
  nativeProblem: string | undefined;
  notes: string[];
  close: () => void;
}

/** Opens all or nothing: a listener that cannot be opened is a configuration somebody has to see, with the reason and the fix. */
export async function openAll(planned: readonly Listen[], wanted: number): Promise<Opened | { problem: string }> {
  const native = loadNative();
  const workers = native ? wanted : 1;
  const opened = openSockets(
    planned.map((l) => ({ kind: l.kind, spec: l.spec })),
    workers,
    native,
  );
  const close = (): void => closeSockets(opened.groups, native);
  const problems = [...opened.problems, ...(native ? [] : await probe(opened.groups))];
  if (problems.length > 0) {
    close();
    return { problem: problems.map((p) => `${p.text}; ${p.fix}`).join('\n') };
  }
  const notes: string[] = [];
  if (!native && wanted > 1) notes.push(`${wanted} workers were asked for; without the native add-on there is one`);
  return {
    sockets: opened.groups,
    listens: planned.map((l, i) => ({ ...l, spec: opened.groups[i].spec })),
    workers,
    nativeProblem: native ? undefined : (nativeProblem() ?? 'unknown'),
    notes,
    close,
  };
}

/** Opens one more listener and adds it to `opened`; else says why not, and how it can. */
export async function openOneMore(
  opened: Opened,
  planned: Listen,
): Promise<{ group: SocketGroup } | { problem: string }> {
  const more = await openAll([planned], opened.workers);
  if ('problem' in more) return more;
  opened.listens.push(more.listens[0]);
  opened.sockets.push(more.sockets[0]);
  return { group: more.sockets[0] };
}

/** Closes a listener here; a worker's own descriptors are its own to close. */
export function closeOne(opened: Opened, key: string): void {
  const at = opened.listens.findIndex((l) => l.key === key);
  if (at < 0) return;
  opened.listens.splice(at, 1);
  closeSockets(opened.sockets.splice(at, 1), loadNative());
}

/**
 * Without the add-on the worker binds; whether it can is tried here, so that the start fails with a reason and not in a loop. Port 0 is
 * settled here too: every worker that comes back has the port that was announced.
 */
async function probe(groups: readonly SocketGroup[]): Promise<{ text: string; fix: string }[]> {
  const problems: { text: string; fix: string }[] = [];
  for (const { kind, spec } of groups) {
    const r = kind === 'udp' ? await openUdpSocket(spec) : await openTcpListener(spec);
    if (r.ok) {
      spec.port = r.value.port;
      r.value.close();
    } else problems.push(r.problem);
  }
  return problems;
}
