import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { describeBgp } from '../codec/bgp/describe.ts';
import { describeBmp } from '../codec/bmp/describe.ts';
import { describeGnmi } from '../codec/gnmi/describe.ts';
import { isCapture, readCapture, tcpStreams } from '../codec/pcap.ts';
import { describeSnmp } from '../codec/snmp/describe.ts';
import type { Naming } from '../codec/snmp/render.ts';
import { isDecodeError } from '../core/result.ts';
import { builtinNaming } from '../mib/builtin.ts';
import { Names } from '../mib/names.ts';
import { MibNaming } from '../mib/naming.ts';
import { type CliContext, CliError, EXIT } from './context.ts';
import { type MibOptions, mibsOption, tableOf } from './mib-table.ts';
import { configOption, jsonOption } from './options.ts';

const PROTOCOLS = ['snmp', 'bmp', 'bgp', 'gnmi'] as const;
type Protocol = (typeof PROTOCOLS)[number];

/** What is printed, one a message. */
type Decoded = { ok: true; message: unknown } | { ok: false; error: { code: string; offset: number; layer: string } };

export function decodeVerb(ctx: CliContext, exit: (code: number) => void): Command {
  return new Command('decode')
    .description('decode bytes and print one JSON object a message; exit 1 where something is malformed')
    .argument('<protocol>', PROTOCOLS.join(', '))
    .argument('<input>', 'hex, a file (raw bytes, hex text, pcap or pcapng), or - for standard input')
    .addOption(configOption())
    .addOption(mibsOption())
    .addOption(jsonOption())
    .action((protocol: string, input: string, o: MibOptions) => {
      if (!PROTOCOLS.includes(protocol as Protocol))
        throw new CliError(`${protocol}: allowed: ${PROTOCOLS.join(', ')}`, EXIT.usage);
      const results = decodeInput(protocol as Protocol, readInput(input), () => namingOf(ctx, o));
      for (const r of results) ctx.out(`${JSON.stringify(r)}\n`);
      if (results.length === 0 || results.some((r) => !r.ok)) exit(EXIT.failure);
    });
}

/** The names that the configuration's MIBs, or those named, give. */
function namingOf(ctx: CliContext, o: MibOptions): Naming {
  return o.config === undefined && o.mibs === undefined
    ? builtinNaming()
    : new MibNaming(new Names(tableOf(ctx, o).table));
}

/** Bytes of hex text; undefined where it is none. White space, colons and a leading 0x are allowed. */
function hex(text: string): Buffer | undefined {
  const plain = text.replace(/^\s*0x/i, '').replace(/[\s:]/g, '');
  return plain.length > 0 && plain.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(plain)
    ? Buffer.from(plain, 'hex')
    : undefined;
}

function readInput(input: string): Buffer {
  if (input !== '-') {
    const direct = hex(input);
    if (direct) return direct;
  }
  let bytes: Buffer;
  try {
    bytes = readFileSync(input === '-' ? 0 : input);
  } catch (e) {
    throw new CliError(`${input}: neither hex nor a readable file: ${(e as Error).message}`, EXIT.usage);
  }
  // A file of hex digits is text; the protocols' own bytes never look like it.
  return hex(bytes.toString('latin1')) ?? bytes;
}

/** Every message in `bytes`: of a capture all payloads of the protocol's transport, else the bytes as they are. */
export function decodeInput(
  protocol: Protocol,
  bytes: Buffer,
  naming: () => Naming = () => builtinNaming(),
): Decoded[] {
  const streams: Buffer[][] = [];
  const datagrams: Buffer[] = [];
  if (isCapture(bytes)) {
    const captured = readCapture(bytes);
    if (isDecodeError(captured)) return [refused(captured)];
    if (protocol === 'snmp') datagrams.push(...captured.filter((p) => p.protocol === 'udp').map((p) => p.payload));
    else streams.push(...tcpStreams(captured).map((s) => s.parts));
  } else if (protocol === 'bmp' || protocol === 'bgp') streams.push([bytes]);
  else datagrams.push(bytes);
  if (protocol === 'snmp') {
    const names = naming();
    return datagrams.map((d) => describeSnmp(d, names) as Decoded);
  }
  if (protocol === 'gnmi') return datagrams.map((d) => wrap(describeGnmi(d)));
  const describe = protocol === 'bmp' ? describeBmp : describeBgp;
  return streams.flatMap((parts) => describe(Buffer.concat(parts)) as Decoded[]);
}

function wrap(m: unknown): Decoded {
  return isDecodeError(m) ? refused(m) : { ok: true, message: m };
}

function refused(e: { code: string; offset: number; layer: string }): Decoded {
  return { ok: false, error: { code: e.code, offset: e.offset, layer: e.layer } };
}
