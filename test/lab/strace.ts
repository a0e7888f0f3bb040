/** Reads what `strace -f -yy -xx -ttt` wrote: each system call with where it begins and ends in the order of the trace. */

export interface TracedCall {
  pid: number;
  name: string;
  /** What `-yy` says of the first argument: a path, `UDP:[…]`. */
  path: string;
  /** Every quoted argument, joined. */
  data: Buffer;
  /** Undefined where the process ended within the call. */
  result: number | undefined;
  /** Line numbers of the trace: a call that was interrupted by another's line has two. */
  start: number;
  end: number;
}

export function readCalls(trace: string): TracedCall[] {
  const calls: TracedCall[] = [];
  const unfinished = new Map<number, { line: number; text: string }>();
  trace.split('\n').forEach((raw, line) => {
    const m = /^(\d+) +[\d.]+ (.*)$/.exec(raw);
    if (!m) return;
    const pid = Number(m[1]);
    let text = m[2];
    let start = line;
    if (text.endsWith('<unfinished ...>')) {
      unfinished.set(pid, { line, text: text.slice(0, -'<unfinished ...>'.length) });
      return;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    if (resumed) {
      const before = unfinished.get(pid);
      if (!before) return;
      unfinished.delete(pid);
      text = before.text + resumed[1];
      start = before.line;
    }
    const call = /^(\w+)\(\d+<([^>]*)>(.*)\) += (-?\d+)/.exec(text);
    if (!call) return;
    calls.push({
      pid,
      name: call[1],
      path: plain(call[2]),
      data: Buffer.concat([...call[3].matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map((q) => bytes(q[1]))),
      result: Number(call[4]),
      start,
      end: line,
    });
  });
  return calls;
}

function bytes(escaped: string): Buffer {
  return Buffer.from(escaped.replaceAll('\\x', ''), 'hex');
}

/** With `-xx` paths are escaped too. */
function plain(path: string): string {
  return path.includes('\\x') ? path.replace(/(?:\\x[0-9a-f]{2})+/g, (run) => bytes(run).toString('utf8')) : path;
}
