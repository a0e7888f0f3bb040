/**
 * Scenario files: the first line has the settings, each other line an input at a time, the effects it must have, in order, and (BGP) the state
 * after it. Effects are written short.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type DrainEffect, type DrainInput, DrainMachine, type DrainSettings } from '../../src/lb/drain.ts';
import { type GradeEffect, type GradeInput, GradeMachine, type GradeSettings } from '../../src/lb/grade.ts';
import { type LeaseEffect, type LeaseInput, LeaseMachine, type LeaseSettings } from '../../src/lb/lease.ts';
import { type BgpEffect, type BgpInput, BgpMachine, type BgpSettings } from '../../src/protocol/bgp/machine.ts';

interface Line<I> {
  at: number;
  in: I;
  out: string[];
  state?: string;
}

function load<I, S>(folder: string, file: string): { settings: S; lines: Line<I>[] } {
  const path = join(fileURLToPath(new URL(`../scenario/${folder}`, import.meta.url)), file);
  const [head, ...lines] = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));
  return { settings: head.settings, lines };
}

function files(folder: string, begin: string): string[] {
  const all = readdirSync(fileURLToPath(new URL(`../scenario/${folder}`, import.meta.url)));
  const found = all.filter((f) => f.endsWith('.jsonl') && f.startsWith(begin)).sort();
  if (found.length === 0) throw new Error(`no scenario in ${folder}`);
  return found;
}

function bgp(e: BgpEffect): string {
  switch (e.type) {
    case 'send':
      if (e.message.kind === 'open')
        return `send open hold=${e.message.holdTime} caps=${e.message.capabilities.map((c) => (c.name === 'raw' ? `${c.code}=${c.value}` : c.name)).join()}`;
      if (e.message.kind === 'keepalive') return 'send keepalive';
      {
        const { code, subcode, text, wrapped } = e.message;
        const inner = wrapped && `wrapping ${wrapped.code}/${wrapped.subcode} ${wrapped.text ?? ''}`;
        return ['send notification', `${code}/${subcode}`, text, inner].filter(Boolean).join(' ');
      }
    case 'set-timer':
      return `set ${e.timer} ${e.ms}`;
    case 'clear-timer':
      return `clear ${e.timer}`;
    case 'established':
      return `established ${e.negotiated.families.join()} hold=${e.negotiated.holdTime}`;
    case 'down': {
      const said = (n: typeof e.sent, way: string) =>
        n ? `; ${way} ${n.name}${n.hard ? ' (hard)' : ''}${n.text ? `: ${n.text}` : ''}` : '';
      return `down ${e.reason}${said(e.sent, 'sent')}${said(e.received, 'received')}`;
    }
    case 'route-refresh':
      return `refresh ${e.afi}/${e.safi}`;
    default:
      return e.type;
  }
}

function grade(e: GradeEffect): string {
  if (e.type === 'set-timer') return `set ${e.timer} ${e.ms}`;
  if (e.type === 'clear-timer') return `clear ${e.timer}`;
  return [`${e.from}>${e.to}`, [...e.hard, ...e.soft].join('; ')].filter(Boolean).join(' ');
}

function lease(e: LeaseEffect): string {
  if (e.type === 'set-timer') return `set ${e.timer} ${e.ms}`;
  if (e.type === 'clear-timer') return `clear ${e.timer}`;
  const parts = [e.hard.length > 0 && `hard: ${e.hard.join(', ')}`, e.soft.length > 0 && `soft: ${e.soft.join(', ')}`];
  return parts.filter(Boolean).join('; ') || 'fine';
}

describe('BGP finite state machine', () => {
  it.each(files('bgp', ''))('%s', (file) => {
    const { settings, lines } = load<BgpInput, BgpSettings>('bgp', file);
    const machine = new BgpMachine({ ...settings, random: () => 0.5 });
    for (const [i, line] of lines.entries()) {
      const out: BgpEffect[] = [];
      machine.handle(line.at, line.in, out);
      expect({ line: i + 2, state: machine.state, out: out.map(bgp) }).toEqual({
        line: i + 2,
        state: line.state,
        out: line.out,
      });
    }
  });
});

describe('grade', () => {
  it.each(files('lb', 'grade'))('%s', (file) => {
    const { settings, lines } = load<GradeInput, GradeSettings>('lb', file);
    const machine = new GradeMachine(settings);
    for (const [i, line] of lines.entries()) {
      const out: GradeEffect[] = [];
      machine.handle(line.at, line.in, out);
      expect({ line: i + 2, out: out.map(grade) }).toEqual({ line: i + 2, out: line.out });
    }
  });
});

describe('lease', () => {
  it.each(files('lb', 'lease'))('%s', (file) => {
    const { settings, lines } = load<LeaseInput, LeaseSettings>('lb', file);
    const machine = new LeaseMachine(settings);
    for (const [i, line] of lines.entries()) {
      const out: LeaseEffect[] = [];
      machine.handle(line.at, line.in, out);
      expect({ line: i + 2, out: out.map(lease) }).toEqual({ line: i + 2, out: line.out });
    }
  });
});

function drain(e: DrainEffect): string {
  if (e.type === 'phase') return `${e.from}>${e.to} ${e.reason}`;
  if (e.type === 'close-sessions') return `close-sessions ${e.spread}`;
  return e.type === 'restore' ? 'restore' : `${e.type} ${e.reason}`;
}

describe('drain', () => {
  it.each(files('lb', 'drain'))('%s', (file) => {
    const { lines } = load<DrainInput, DrainSettings>('lb', file);
    const machine = new DrainMachine();
    for (const [i, line] of lines.entries()) {
      const out: DrainEffect[] = [];
      machine.handle(line.at, line.in, out);
      const seen = { line: i + 2, out: out.map(drain), state: machine.phase };
      expect(seen).toEqual({ line: i + 2, out: line.out, state: line.state });
    }
  });
});
