/** Scenario files of what the announcer adds to BGP: the Adj-RIB-Out of a peer, and which of two colliding connections goes. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { PathAttributes } from '../../src/codec/bgp/index.ts';
import { type Collision, loserOf } from '../../src/lb/bgp/collision.ts';
import { AdjOut, type AdjOutEffect, type AdjOutInput, type AdjOutSettings } from '../../src/lb/bgp/machine.ts';
import type { Grade } from '../../src/lb/grade.ts';

function load<L>(folder: string): { file: string; path: string; head: { settings?: object }; lines: L[] }[] {
  const at = fileURLToPath(new URL(`../scenario/${folder}`, import.meta.url));
  const files = readdirSync(at).filter((f) => f.endsWith('.jsonl'));
  if (files.length === 0) throw new Error(`no scenario in ${folder}`);
  return files.map((file) => {
    const path = join(at, file);
    const [head, ...lines] = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l));
    return { file, path, head, lines };
  });
}

const DEFAULTS: AdjOutSettings = {
  policy: {
    ...{ asn: 64512, peerAsn: 64500, med: 0, localPref: 100, prepend: 0 },
    communities: { standard: [], large: [], extended: [] },
  },
  nextHop: {},
};

/** `in` written short; the settings as they are after it. */
function input(text: string, settings: AdjOutSettings): AdjOutInput {
  const [word, ...rest] = text.split(' ');
  switch (word) {
    case 'wanted': {
      const [grade, ...others] = rest;
      const standby = others.filter((r) => r.startsWith('standby=')).map((r) => r.slice('standby='.length));
      const prefixes = others.filter((r) => !r.startsWith('standby='));
      return { type: 'wanted', prefixes, grade: grade as Grade, standby };
    }
    case 'established':
      return {
        ...{ type: 'established', localAddress: rest[0], families: rest.filter((r) => /^\d+\/\d+$/.test(r)) },
        ...{ extendedNextHop: rest.includes('rfc8950'), enhancedRefresh: rest.includes('rfc7313') },
      };
    case 'down':
      return { type: 'down' };
    case 'refresh': {
      const [afi, safi] = rest[0].split('/').map(Number);
      return { type: 'route-refresh', afi, safi };
    }
    case 'policy':
      settings.policy = { ...settings.policy, ...JSON.parse(rest.join(' ')) };
      return { type: 'settings', settings: { ...settings } };
    case 'next-hop':
      settings.nextHop = { ...settings.nextHop, [rest[0].includes(':') ? 'ipv6' : 'ipv4']: rest[0] };
      return { type: 'settings', settings: { ...settings } };
    default:
      throw new Error(`no input: ${text}`);
  }
}

function attributes(a: PathAttributes): string {
  const path = (a.asPath ?? []).flatMap((s) => s.asns).join(' ');
  const communities = (a.communities ?? []).map((c) => `${c >>> 16}:${c & 0xffff}`);
  return [
    ...[`path [${path}]`, `med ${a.med}`, a.localPref !== undefined && `pref ${a.localPref}`],
    communities.length > 0 && communities.join(' '),
  ]
    .filter(Boolean)
    .join(', ');
}

function effect(e: AdjOutEffect): string {
  switch (e.type) {
    case 'announce':
      return `announce ${e.family} ${e.prefixes.join(' ')} via ${e.nextHop}: ${attributes(e.attributes)}`;
    case 'withdraw':
      return `withdraw ${e.family} ${e.prefixes.join(' ')}`;
    case 'end-of-rib':
      return `end-of-rib ${e.family}`;
    case 'refresh-mark':
      return `refresh ${e.mark} ${e.family}`;
  }
}

describe('Adj-RIB-Out', () => {
  it.each(load<{ at: number; in: string }>('adj-rib-out'))('$file', ({ path, head, lines }) => {
    const given = head.settings as { policy?: object } | undefined;
    const settings: AdjOutSettings = { ...DEFAULTS, policy: { ...DEFAULTS.policy, ...given?.policy } };
    const machine = new AdjOut({ ...settings });
    const seen = lines.map((line) => {
      const out: AdjOutEffect[] = [];
      machine.handle(input(line.in, settings), out);
      // What is pushed is plain data.
      expect(JSON.parse(JSON.stringify(out))).toEqual(out);
      return { at: line.at, in: line.in, out: out.map(effect), sent: [...machine.sent.keys()].sort() };
    });
    if (process.env.TIDEGATE_WRITE_SCENARIOS)
      writeFileSync(path, `${[head, ...seen].map((l) => JSON.stringify(l)).join('\n')}\n`);
    expect(seen).toEqual(lines);
  });
});

describe('connection collision', () => {
  it.each(load<{ in: Collision; loser: string | null }>('bgp-collision'))('$file', ({ lines }) => {
    for (const line of lines) expect({ ...line, loser: loserOf(line.in) ?? null }).toEqual(line);
  });
});
