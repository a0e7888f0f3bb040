/** Fails on an arrow that points the wrong way (design rule: every room knows only the rooms below it). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { codeOnly, importsOf, SOCKET_LIBRARIES, violations } from './import-rules.ts';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

function tree(): Map<string, string> {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'));
  return new Map(files.sort().map((f) => [f.replaceAll('\\', '/'), readFileSync(join(SRC, f), 'utf8')]));
}

/** The complaints about one planted file. */
const planted = (file: string, source: string) => violations(new Map([[file, source]])).map((v) => v.text);

describe('import rules', () => {
  it('every arrow of src/ points the right way', () => {
    const files = tree();
    expect(files.size).toBeGreaterThan(20);
    expect(violations(files).map((v) => `src/${v.file}:${v.line} ${v.text}`)).toEqual([]);
  });

  it('a library that opens sockets stands in one place', () => {
    const users = new Map<string, string[]>();
    for (const [file, source] of tree())
      for (const { path } of importsOf(source))
        if (path in SOCKET_LIBRARIES) users.set(path, [...new Set([...(users.get(path) ?? []), file])]);
    for (const [library, files] of Object.entries(SOCKET_LIBRARIES))
      expect(users.get(library) ?? [], library).toEqual(files);
  });

  it.each([
    ['codec/snmp/decode.ts', `import { x } from '../../event/types.ts';`, /codec\/ may not import/],
    ['codec/snmp/decode.ts', `import type { Clock } from '../../core/clock.ts';`, /no clock/],
    ['core/ip.ts', `export { x } from '../codec/ber/oid.ts';`, /core\/ may not import/],
    ['collectors/bmp/collector.ts', `import { a } from '../bgp/normalise.ts';`, /collectors\/bmp\/ may not import/],
    ['collectors/bmp/collector.ts', `import { openUdp } from '../../net/udp.ts';`, /only types/],
    ['collectors/bmp/collector.ts', `import {\n  type A,\n  b,\n} from '../../pipeline/types.ts';`, /only types/],
    ['collectors/gnmi/collector.ts', `import grpc from '@grpc/grpc-js';`, /stands only in net\/grpc.ts/],
    ['collectors/bgp/machine.ts', `import { r } from '../../telemetry/registry.ts';`, /a machine knows only/],
    ['lb/bgp/session.ts', `import { createConnection } from 'node:net';`, /only the edges/],
    ['lb/bgp/machine.ts', `import { systemClock } from '../../core/clock.ts';`, /pure/],
    ['pipeline/pipeline.ts', `import { run } from '../process/worker.ts';`, /pipeline\/ may not import/],
    ['export/kafka/exporter.ts', `import kafkajs from 'kafkajs';`, /stands only in/],
    ['spool/log.ts', `import { z } from 'zod';`, /no dependencies/],
    ['event/encode.ts', `import fs from 'node:fs/promises';`, /touch files/],
    ['export/kafka/exporter.ts', `import { readFileSync } from 'node:fs';`, /touch files/],
    ['inventory/inventory.ts', `import { readFileSync } from 'node:fs';`, /touch files/],
    ['cli/send.ts', `import snmp from 'net-snmp';`, /net-snmp stands nowhere in src/],
    ['protocol/bgp/fsm.ts', `const t = Date.now();`, /take a Clock/],
    ['spool/log.ts', `const t = performance.now();`, /take a Clock/],
    ['lb/lease.ts', `const at = new Date().toISOString();`, /take a Clock/],
    ['event/encode.ts', `const at = new Date(ms).toISOString();`, /core\/time/],
    ['net/udp.ts', `const host = process.env.HOST;`, /argv and the environment/],
    ['net/udp.ts', `const a = await import('../process/worker.ts');`, /net\/ may not import/],
    ['lb/grade.ts', `import '../export/kafka/exporter.ts';`, /lb\/ may not import/],
    ['nowhere/x.ts', `import { a } from '../core/ip.ts';`, /in no room/],
    ['core/long.ts', '\n'.repeat(501), /split it/],
  ])('finds a planted wrong arrow in %s: %s', (file, source, complaint) => {
    expect(planted(file, source)).toEqual([expect.stringMatching(complaint)]);
  });

  it.each([
    ['collectors/bmp/collector.ts', `import type { Pipeline } from '../../pipeline/types.ts';`],
    [
      'collectors/bmp/collector.ts',
      `import { decode } from '../../codec/bmp/index.ts';\nimport { m } from './machine.ts';`,
    ],
    ['core/clock.ts', `export const now = () => Date.now() + performance.now();`],
    [
      'core/ip.ts',
      `// Date.now() is read elsewhere\nconst text = 'new Date()'; const r = /process.env'/;\nconst u = \`\${text} process.env\`;`,
    ],
    ['process/worker.ts', `import { a } from '../net/udp.ts';\nimport { b } from '../collectors/bmp/collector.ts';`],
  ])('accepts %s: %s', (file, source) => {
    expect(planted(file, source)).toEqual([]);
  });

  it('reads code inside templates and behind regular expressions', () => {
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: sources to be searched
    expect(codeOnly('const a = `x ${Date.now()} y`; // z').trim()).toBe('const a = `  ${Date.now()}  `;');
    expect(planted('lb/x.ts', 'const a = /[\'"]/;\nconst b = `${`${Date.now()}`}`;')).toHaveLength(1);
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: sources to be searched
  });
});
