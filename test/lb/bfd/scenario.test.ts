/** Scenario files of the BFD machine: the first line has the settings, each other line an input at a time, its effects in order, and the state after it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { BfdPacket, BfdState } from '../../../src/codec/bfd/bfd.ts';
import {
  type BfdEffect,
  type BfdInput,
  BfdMachine,
  type BfdSettings,
  type BfdTimer,
} from '../../../src/lb/bfd/machine.ts';

const FOLDER = fileURLToPath(new URL('../../scenario/bfd', import.meta.url));

const DEFAULTS: BfdSettings = {
  ...{ discriminator: 1, desiredMinTx: 300, requiredMinRx: 300, detectMult: 3, passive: false },
  // No jitter: the latest moment that is allowed.
  random: () => 1,
};

/** `in` written short: `start`, `packet Up my=2 your=1 tx=300 rx=300 mult=3 diag=0 [poll] [final] [demand]`, `timer detect`, `admin down`, `settings tx=… rx=… mult=…`. */
function input(text: string): BfdInput {
  const [word, ...rest] = text.split(' ');
  const number = (name: string, otherwise: number): number => {
    const found = rest.find((r) => r.startsWith(`${name}=`));
    return found === undefined ? otherwise : Number(found.slice(name.length + 1));
  };
  switch (word) {
    case 'start':
      return { type: 'start' };
    case 'timer':
      return { type: 'timer', timer: rest[0] as BfdTimer };
    case 'admin':
      return { type: 'admin', down: rest[0] === 'down' };
    case 'settings':
      return {
        ...{ type: 'settings', desiredMinTx: number('tx', 300), requiredMinRx: number('rx', 300) },
        detectMult: number('mult', 3),
      };
    case 'packet': {
      const packet: BfdPacket = {
        ...{ state: rest[0] as BfdState, diagnostic: number('diag', 0), detectMult: number('mult', 3) },
        ...{ poll: rest.includes('poll'), final: rest.includes('final'), demand: rest.includes('demand') },
        ...{ controlPlaneIndependent: false, myDiscriminator: number('my', 2), yourDiscriminator: number('your', 0) },
        ...{ desiredMinTx: number('tx', 300) * 1000, requiredMinRx: number('rx', 300) * 1000, requiredMinEchoRx: 0 },
      };
      return { type: 'packet', packet };
    }
    default:
      throw new Error(`no input: ${text}`);
  }
}

function effect(e: BfdEffect): string {
  switch (e.type) {
    case 'send': {
      const p = e.packet;
      const flags = [p.poll && 'poll', p.final && 'final'].filter(Boolean).map((f) => ` ${f}`);
      const diagnostic = p.diagnostic === 0 ? '' : ` diag=${p.diagnostic}`;
      const intervals = `tx=${p.desiredMinTx / 1000} rx=${p.requiredMinRx / 1000} mult=${p.detectMult}`;
      return `send ${p.state}${diagnostic} your=${p.yourDiscriminator} ${intervals}${flags.join('')}`;
    }
    case 'set-timer':
      return `set ${e.timer} ${e.ms}`;
    case 'clear-timer':
      return `clear ${e.timer}`;
    case 'state':
      return `${e.from}>${e.to} diag=${e.diagnostic}`;
  }
}

describe('BFD machine', () => {
  const files = readdirSync(FOLDER).filter((f) => f.endsWith('.jsonl'));

  it('has scenarios', () => expect(files.length).toBeGreaterThan(10));

  it.each(files)('%s', (file) => {
    const path = join(FOLDER, file);
    const [head, ...lines] = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l));
    const machine = new BfdMachine({ ...DEFAULTS, ...head.settings });
    const seen = lines.map((line: { at: number; in: string }) => {
      const out: BfdEffect[] = [];
      machine.handle(input(line.in), out);
      // What is pushed is plain data.
      expect(JSON.parse(JSON.stringify(out))).toEqual(out);
      return { at: line.at, in: line.in, out: out.map(effect), state: machine.state };
    });
    if (process.env.TIDEGATE_WRITE_SCENARIOS)
      writeFileSync(path, `${[head, ...seen].map((l) => JSON.stringify(l)).join('\n')}\n`);
    expect(seen).toEqual(lines);
  });
});
