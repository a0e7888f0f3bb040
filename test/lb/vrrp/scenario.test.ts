/** Scenario files of the VRRP machine: the first line has the settings, each other line an input at a time, its effects in order, and the state after it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type VrrpEffect, type VrrpInput, VrrpMachine, type VrrpSettings } from '../../../src/lb/vrrp/machine.ts';

const FOLDER = fileURLToPath(new URL('../../scenario/vrrp', import.meta.url));

const DEFAULTS: VrrpSettings = {
  version: 3,
  priority: 100,
  degradedPriority: 50,
  advertInterval: 1000,
  preempt: true,
  preemptDelay: 0,
  garp: { repeat: 5, delay: 5000, refresh: 0, lowerPriorityRepeat: 5 },
};

/** `in` written short: `full`, `up 192.0.2.1`, `advert 192.0.2.2 100 [INTERVAL]`, `timer advert`, … */
function input(text: string): VrrpInput {
  const [word, ...rest] = text.split(' ');
  switch (word) {
    case 'full':
    case 'degraded':
    case 'dead':
      return { type: 'grade', grade: word };
    case 'addresses':
      return { type: 'addresses', addresses: rest };
    case 'bound':
      return { type: 'bound', addresses: rest };
    case 'up':
      return { type: 'link', obstacle: '', primary: rest[0] };
    case 'down':
      return { type: 'link', obstacle: 'interface eth0 is down', primary: '' };
    case 'advert':
      return {
        type: 'advert',
        advert: { source: rest[0], priority: Number(rest[1]), interval: Number(rest[2] ?? 1000), addresses: [] },
      };
    case 'claimed':
      return { type: 'claimed', address: rest[0] };
    case 'timer':
      return { type: 'timer', timer: rest[0] as Extract<VrrpInput, { type: 'timer' }>['timer'] };
    case 'stop':
      return { type: 'stop', reason: rest.join(' ') };
    default:
      throw new Error(`no input: ${text}`);
  }
}

function effect(e: VrrpEffect): string {
  switch (e.type) {
    case 'send':
      return `send ${e.priority}${e.interval === undefined ? '' : ` interval ${e.interval}`}`;
    case 'set-timer':
      return `set ${e.timer} ${Math.round(e.ms * 1000) / 1000}`;
    case 'clear-timer':
      return `clear ${e.timer}`;
    case 'announce':
      return `announce ${e.addresses.join()} x${e.rounds}`;
    case 'state':
      return `${e.from}>${e.to}: ${e.reason}`;
    case 'unbound':
      return `unbound ${e.addresses.join()}`;
    default:
      return e.type;
  }
}

describe('VRRP machine', () => {
  const files = readdirSync(FOLDER).filter((f) => f.endsWith('.jsonl'));

  it('has scenarios', () => expect(files.length).toBeGreaterThan(10));

  it.each(files)('%s', (file) => {
    const path = join(FOLDER, file);
    const [head, ...lines] = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l));
    const machine = new VrrpMachine({ ...DEFAULTS, ...head.settings });
    const seen = lines.map((line: { at: number; in: string }) => {
      const out: VrrpEffect[] = [];
      machine.handle(line.at, input(line.in), out);
      // What is pushed is plain data.
      expect(JSON.parse(JSON.stringify(out))).toEqual(out);
      return { at: line.at, in: line.in, out: out.map(effect), state: machine.state };
    });
    if (process.env.TIDEGATE_WRITE_SCENARIOS)
      writeFileSync(path, `${[head, ...seen].map((l) => JSON.stringify(l)).join('\n')}\n`);
    expect(seen).toEqual(lines);
  });
});
