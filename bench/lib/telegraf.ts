/** Telegraf's snmp_trap → kafka as a peer of the trap bench, built once from its Go module with just these plug-ins. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LAB_CACHE, REPO } from '../../test/lab/peers.ts';
import { V3_USER } from './v3-user.ts';

const VERSION = 'v1.39.3';

/** The binary; built where it is not there yet (some minutes). Undefined where there is no Go. */
export function telegraf(): string | undefined {
  const dir = join(LAB_CACHE, 'bin');
  const bin = join(dir, 'telegraf');
  if (existsSync(bin)) return bin;
  mkdirSync(dir, { recursive: true });
  console.error(`building Telegraf ${VERSION} once …`);
  try {
    execFileSync(
      'go',
      [
        'install',
        '-tags',
        'custom,inputs.snmp_trap,outputs.kafka,serializers.json',
        `github.com/influxdata/telegraf/cmd/telegraf@${VERSION}`,
      ],
      { env: { ...process.env, GOBIN: dir }, stdio: ['ignore', 'ignore', 'inherit'] },
    );
  } catch (e) {
    console.error(`Telegraf cannot be built here: ${(e as Error).message}`);
    return undefined;
  }
  return bin;
}

/** How Telegraf names OIDs: in its process (gosmi), or by running snmptranslate once for each OID (netsnmp, its default). */
export type Translator = 'gosmi' | 'netsnmp';

/** A folder of MIB modules found by file names without an ending, as Net-SNMP and Telegraf look for them. */
export function mibFolder(dir: string): string {
  const mibs = join(dir, 'mibs');
  const source = join(REPO, 'node_modules/net-snmp/lib/mibs');
  mkdirSync(mibs, { recursive: true });
  for (const name of readdirSync(source)) copyFileSync(join(source, name), join(mibs, name.replace(/\.mib$/, '')));
  return mibs;
}

/** Writes its configuration into `dir`; `mibs` is the folder of MIB modules that it needs: MIBDIRS for snmptranslate. */
export function telegrafConfig(
  dir: string,
  port: number,
  bootstrap: string,
  topic: string,
  translator: Translator,
  version: 'v2c' | 'v3' = 'v2c',
): { file: string; mibs: string } {
  // It drops a trap whose OIDs it cannot name: its resolver reads these modules.
  const mibs = mibFolder(dir);
  const { name, authPassphrase, privPassphrase } = V3_USER;
  const v3 = `  version = "3"
  sec_name = "${name}"
  sec_level = "authPriv"
  auth_protocol = "SHA256"
  auth_password = "${authPassphrase}"
  priv_protocol = "AES256"
  priv_password = "${privPassphrase}"
`;
  const file = join(dir, 'telegraf.conf');
  writeFileSync(
    file,
    `[agent]
  interval = "1s"
  flush_interval = "100ms"
  metric_batch_size = 1000
  metric_buffer_limit = 1000000
  omit_hostname = true
  snmp_translator = "${translator}"
[[inputs.snmp_trap]]
  service_address = "udp://127.0.0.1:${port}"
  path = ["${mibs}"]
${version === 'v3' ? v3 : ''}[[outputs.kafka]]
  brokers = ["${bootstrap}"]
  topic = "${topic}"
  required_acks = -1
  compression_codec = 4
  version = "2.8.0"
  data_format = "json"
`,
  );
  return { file, mibs };
}
