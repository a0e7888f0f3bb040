/** When a kernel's route changed, in its own words: `ip monitor` with time stamps, because asking `ip` again and again measures the asking. */
import type { Namespace } from './netns.ts';
import { labBin } from './peers.ts';
import type { Proc } from './proc.ts';
import { waitFor } from './wait.ts';

interface Change {
  /** UTC milliseconds. */
  at: number;
  /** When it was read here. */
  read: number;
  destination: string;
  /** Where to; empty: deleted. */
  gateways: string[];
}

/** `[2026-01-02T03:04:05.678901] Deleted 203.0.113.10 via 10.1.1.2 dev x` or `… 203.0.113.10 proto bgp`, followed by lines of next hops. */
const HEAD = /^\[(\S+)\] (Deleted )?(\S+)(.*)$/;
const GATEWAY = /via (?:inet6? )?([0-9a-f.:]+)/g;

const WHOLE_MS = 30;

export class RouteMonitor {
  private readonly changes: Change[] = [];
  private readonly proc: Proc;

  constructor(ns: Namespace) {
    this.proc = ns.spawn([labBin('ip'), '-ts', 'monitor', 'route'], { onStdout: (line) => this.take(line) });
  }

  private take(line: string): void {
    const head = HEAD.exec(line);
    if (head) {
      const [, time, deleted, destination, rest] = head;
      this.changes.push({
        ...{ at: new Date(time).getTime(), read: Date.now(), destination },
        gateways: deleted ? [] : gateways(rest),
      });
      return;
    }
    const last = this.changes.at(-1);
    if (/^\s+nexthop/.test(line)) last?.gateways.push(...gateways(line));
  }

  /** UTC milliseconds at which `destination` first was as `fits` wants it, not before `since`. Waits for that. */
  when(destination: string, since: number, fits: (gateways: string[]) => boolean): Promise<number> {
    // A line of next hops may still be on its way: what was read this moment is left for the next look.
    const whole = (c: Change) => Date.now() - c.read > WHOLE_MS;
    const is = (c: Change) => c.destination === destination && c.at >= since && fits(c.gateways);
    return waitFor(() => this.changes.find((c) => whole(c) && is(c))?.at, `a change of the route to ${destination}`, {
      every: 20,
    });
  }

  stop(): Promise<unknown> {
    return this.proc.stop();
  }
}

function gateways(text: string): string[] {
  return [...text.matchAll(GATEWAY)].map((m) => m[1]);
}
