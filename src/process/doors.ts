/** Opens the doors of an instance: probes and metrics, the local API, the API over the network. */
import { readFileSync } from 'node:fs';
import { join, parse } from 'node:path';
import { Access } from '../admin/access.ts';
import { openApi, openNetworkApi, openProbes, type TlsMaterial } from '../admin/http.ts';
import type { Admin } from '../admin/types.ts';
import type { AdminApiConfig } from '../config/admin.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { formatEndpoint } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';
import type { Registry } from '../telemetry/registry.ts';
import { StartError } from './start-error.ts';

/** Certificates are renewed in place; this often the files are looked at. */
const CERTIFICATE_CHECK_MS = 60_000;

export interface DoorOptions {
  admin: Admin;
  config: Config['admin'];
  role: 'all' | 'ingest' | 'speaker';
  clock: Clock;
  log: Logger;
  registry: Registry;
  /** What is open is added here, also when a later door fails. */
  closers: (() => Promise<void> | void)[];
}

/** What children are given: they read hostile input and have no use for the logins of the API. */
export function forChildren(config: Config): Config {
  return config.admin.api === undefined ? config : { ...config, admin: { ...config.admin, api: undefined } };
}

/** Throws StartError. Returns the address of the probes. */
export async function openDoors(o: DoorOptions): Promise<string | undefined> {
  const { config } = o;
  const speaker = o.role === 'speaker';
  const listen = speaker ? config.speaker_listen : config.listen;
  let address: string | undefined;
  try {
    const probes = await openProbes(o.admin, listen.address, listen.port);
    address = formatEndpoint(listen.address, probes.port);
    o.closers.push(probes.close);
  } catch (e) {
    throw new StartError(`admin.listen ${formatEndpoint(listen.address, listen.port)}: ${(e as Error).message}`, 1);
  }
  const { dir, base } = parse(config.socket);
  const api = await openApi(o.admin, speaker ? join(dir, `speaker-${base}`) : config.socket);
  o.closers.push(api.close);
  // A speaker on its own has nothing to show that the instance beside it does not.
  if (config.api !== undefined && !speaker) await openNetwork(o, config.api);
  return address;
}

async function openNetwork(o: DoorOptions, api: AdminApiConfig): Promise<void> {
  const { clock, log, registry } = o;
  const where = formatEndpoint(api.listen.address, api.listen.port);
  let material = read(api.tls);
  const access = new Access({
    tokens: api.tokens,
    certificates: api.certificates,
    clock,
    onRefused: (reason) => {
      registry.handle('tidegate_admin_login_failures_total', { reason }).value++;
    },
    onLimited: (source) => log.warn({ source }, 'admin.api: too many wrong logins; refused for a minute'),
  });
  let door: Awaited<ReturnType<typeof openNetworkApi>>;
  try {
    door = await openNetworkApi(o.admin, access, { ...api.listen, tls: material });
  } catch (e) {
    throw new StartError(`admin.api.listen ${where}: ${(e as Error).message}`, 1);
  }
  log.info(
    { address: formatEndpoint(api.listen.address, door.port), tls: material !== undefined },
    'admin.api is open',
  );
  let timer: ReturnType<Clock['setTimeout']> | undefined;
  const look = (): void => {
    try {
      const next = read(api.tls);
      if (next !== undefined && JSON.stringify(next) !== JSON.stringify(material)) {
        door.renew(next);
        material = next;
        log.info({}, 'admin.api: certificates read again');
      }
    } catch (e) {
      log.warn({ error: (e as Error).message }, 'admin.api: changed certificates cannot be used; the old ones stay');
    }
    timer = clock.setTimeout(look, CERTIFICATE_CHECK_MS);
  };
  if (api.tls !== undefined) timer = clock.setTimeout(look, CERTIFICATE_CHECK_MS);
  o.closers.push(() => {
    if (timer) clock.clearTimeout(timer);
    return door.close();
  });
}

function read(tls: AdminApiConfig['tls']): TlsMaterial | undefined {
  if (tls === undefined) return undefined;
  const pem = (key: string, path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (e) {
      throw new StartError(`admin.api.tls.${key}: ${(e as Error).message}`, 78);
    }
  };
  return {
    cert: pem('cert', tls.cert),
    key: pem('key', tls.key),
    ca: tls.client_ca === undefined ? undefined : pem('client_ca', tls.client_ca),
  };
}
