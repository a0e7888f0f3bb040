/**
 * Scenario files of the two machines: the first line has the settings and defaults of what is not written, each other line an input at a time and
 * the effects it must have, in order, written short.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type ClusterEffect, type ClusterInput, ClusterMachine } from '../../src/cluster/machine.ts';
import { L2Machine } from '../../src/lb/l2/machine.ts';
import type { L2Claim, L2Effect, L2Input, L2Member } from '../../src/lb/l2/types.ts';

interface Line {
  at: number;
  // biome-ignore lint/suspicious/noExplicitAny: what is left out is filled from the first line
  in: any;
  out: string[];
}

function load(folder: string, file: string) {
  const path = join(fileURLToPath(new URL(`../scenario/${folder}`, import.meta.url)), file);
  const [head, ...lines] = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));
  return { head, lines: lines as Line[] };
}

const files = (folder: string) =>
  readdirSync(fileURLToPath(new URL(`../scenario/${folder}`, import.meta.url))).filter((f) => f.endsWith('.jsonl'));

function cluster(e: ClusterEffect): string {
  switch (e.type) {
    case 'send': {
      const { sequence, claims, heard, leaving } = e.heartbeat;
      const more = [claims.length > 0 && `claims ${claims.map((c) => c.address)}`, leaving && 'leaving'];
      return [`send #${sequence} hears ${heard.length}`, ...more].filter(Boolean).join(' ');
    }
    case 'refused':
      return `refused ${e.code}`;
    case 'member':
      return `${e.node} ${e.from}>${e.to} ${e.reason}`;
    case 'frozen':
      return `frozen ${e.ms}`;
    case 'set-timer':
      return `set ${e.ms}`;
    default:
      return e.type;
  }
}

function claim(c: L2Claim): string {
  return `${c.address} ${c.state} #${c.epoch}${c.to === undefined ? '' : ` to ${c.to}`}`;
}

function l2(e: L2Effect): string {
  switch (e.type) {
    case 'probe':
    case 'announce':
      return `${e.type} ${e.address} ${e.interface}`;
    case 'claims':
      return `claims ${e.claims.map(claim).join(', ') || 'nothing'}`;
    case 'state':
      return `${e.from}>${e.to} ${e.reason}`;
    case 'alarm':
      return `alarm ${e.reason}`;
    case 'set-timer':
      return `set ${e.ms}`;
    default:
      return e.type;
  }
}

function withoutNull(o: object): object {
  return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== null));
}

describe('cluster', () => {
  it.each(files('cluster'))('%s', (file) => {
    const { head, lines } = load('cluster', file);
    const machine = new ClusterMachine(head.settings);
    for (const [i, line] of lines.entries()) {
      const input = { ...line.in };
      if (input.type === 'message') {
        input.message = { ...head.message, ...input.message };
        input.wall ??= input.message.time;
      }
      const out: ClusterEffect[] = [];
      machine.handle(line.at, input as ClusterInput, out);
      expect({ line: i + 2, out: out.map(cluster) }).toEqual({ line: i + 2, out: line.out });
    }
  });
});

describe('layer 2', () => {
  it.each(files('l2'))('%s', (file) => {
    const { head, lines } = load('l2', file);
    const machine = new L2Machine(head.settings);
    for (const [i, line] of lines.entries()) {
      const input = { ...line.in };
      if (input.type === 'members') input.members = input.members.map((m: L2Member) => ({ ...head.member, ...m }));
      if (input.type === 'want') {
        input.weight ??= 1;
        // A VIP without an interface is written with null.
        input.vips = input.vips.map((v: object) => ({ ...head.vip, ...v })).map(withoutNull);
      }
      const out: L2Effect[] = [];
      machine.handle(line.at, input as L2Input, out);
      expect({ line: i + 2, out: out.map(l2) }).toEqual({ line: i + 2, out: line.out });
    }
  });
});
