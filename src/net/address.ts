import { execFile } from 'node:child_process';
import { formatIp, parseIp } from '../core/ip.ts';
import { errnoName, errnoText, type Native } from './native.ts';

/** `changed` is false where the address was there already (add) or was not there (remove). */
export type AddressOutcome = { ok: true; changed: boolean } | { ok: false; code: string; text: string };

/** Addresses of an interface: where a VIP sits. */
export interface AddressDriver {
  /**
   * `prefix` is ADDRESS/LENGTH, the address with its host bits. `host`: of no use outside this machine (IPv4 scope host). `lifetime`:
   * milliseconds until the kernel removes it, rounded up to seconds; one that is there gets the new lifetime.
   */
  add(device: string, prefix: string, host: boolean, lifetime?: number): Promise<AddressOutcome>;
  remove(device: string, prefix: string): Promise<AddressOutcome>;
  /** ADDRESS/LENGTH in RFC 5952 text. */
  list(device: string): Promise<{ ok: true; prefixes: string[] } | { ok: false; code: string; text: string }>;
}

/** By netlink where the add-on is (about 10 µs a change), else by the `ip` command. IPv6 addresses skip duplicate detection. */
export function addressDriver(native: Native | undefined): AddressDriver {
  return native ? new NetlinkAddresses(native) : new CommandAddresses();
}

/** How often it is looked whether a new address serves, and how many times at most. */
const SERVING_MS = 2;
const SERVING_TURNS = 250;

type Failure = { ok: false; code: string; text: string };

function parse(prefix: string): { address: Buffer; length: number } | undefined {
  const slash = prefix.indexOf('/');
  const address = parseIp(slash < 0 ? prefix : prefix.slice(0, slash));
  if (!address) return undefined;
  const text = slash < 0 ? String(address.length * 8) : prefix.slice(slash + 1);
  const length = Number(text);
  return /^\d{1,3}$/.test(text) && length <= address.length * 8 ? { address, length } : undefined;
}

function noAddress(prefix: string): Failure {
  return { ok: false, code: 'EINVAL', text: `${prefix} is no address with a prefix length` };
}

function noDevice(device: string): Failure {
  return { ok: false, code: 'ENODEV', text: `there is no interface ${device}` };
}

function refused(what: string, code: string, text: string): Failure {
  const hint = code === 'EPERM' || code === 'EACCES' ? '; this needs root or CAP_NET_ADMIN' : '';
  return { ok: false, code, text: `${what}: ${text} (${code})${hint}` };
}

class NetlinkAddresses implements AddressDriver {
  private readonly native: Native;
  /** Interfaces of which the kernel did not say that an address serves. */
  private readonly unclear = new Set<string>();

  constructor(native: Native) {
    this.native = native;
  }

  async add(device: string, prefix: string, host: boolean, lifetime = 0): Promise<AddressOutcome> {
    const r = this.change(true, device, prefix, host, Math.ceil(lifetime / 1000));
    if (r.ok && r.changed) await this.serving(device, prefix);
    return r;
  }

  async remove(device: string, prefix: string): Promise<AddressOutcome> {
    return this.change(false, device, prefix, false);
  }

  async list(device: string): Promise<{ ok: true; prefixes: string[] } | Failure> {
    const index = this.native.interfaceIndex(device);
    if (index === 0) return noDevice(device);
    let found = this.native.addressList(index);
    // EAGAIN: the list changed while it was read.
    for (let i = 0; i < 3 && typeof found === 'number'; i++) found = this.native.addressList(index);
    if (typeof found === 'number') return refused(`addresses of ${device}`, errnoName(found), errnoText(found));
    return { ok: true, prefixes: found.map((a) => `${formatIp(a.address)}/${a.length}`) };
  }

  /** Who announces an address that does not serve yet draws packets which nobody takes: a moment on an idle machine, longer on a busy one. */
  private async serving(device: string, prefix: string): Promise<void> {
    const { address } = parse(prefix)!;
    // Of IPv4 it does at once.
    if (address.length === 4 || this.unclear.has(device)) return;
    const index = this.native.interfaceIndex(device);
    for (let i = 0; i < SERVING_TURNS; i++) {
      if (this.native.addressServes(address, index) !== false) return;
      await new Promise((resolve) => setTimeout(resolve, SERVING_MS));
    }
    // A thousand addresses are not to wait for what routing there does not tell.
    this.unclear.add(device);
  }

  private change(add: boolean, device: string, prefix: string, host: boolean, lifetime = 0): AddressOutcome {
    const parsed = parse(prefix);
    if (!parsed) return noAddress(prefix);
    const index = this.native.interfaceIndex(device);
    if (index === 0) return noDevice(device);
    const errno = this.native.addressChange(add, index, parsed.address, parsed.length, host, true, lifetime);
    if (errno === 0) return { ok: true, changed: true };
    const code = errnoName(errno);
    if (code === (add ? 'EEXIST' : 'EADDRNOTAVAIL')) return { ok: true, changed: false };
    return refused(`${prefix} on ${device}`, code, errnoText(errno));
  }
}

class CommandAddresses implements AddressDriver {
  async add(device: string, prefix: string, host: boolean, lifetime = 0): Promise<AddressOutcome> {
    const parsed = parse(prefix);
    if (!parsed) return noAddress(prefix);
    const seconds = String(Math.ceil(lifetime / 1000));
    const limited = lifetime > 0 ? ['valid_lft', seconds, 'preferred_lft', seconds] : [];
    const more = parsed.address.length === 16 ? ['nodad'] : host ? ['scope', 'host'] : [];
    const text = `${formatIp(parsed.address)}/${parsed.length}`;
    return this.change(
      device,
      text,
      ['addr', lifetime > 0 ? 'replace' : 'add', text, 'dev', device, ...more, ...limited],
      /File exists|already assigned/,
    );
  }

  async remove(device: string, prefix: string): Promise<AddressOutcome> {
    const parsed = parse(prefix);
    if (!parsed) return noAddress(prefix);
    const text = `${formatIp(parsed.address)}/${parsed.length}`;
    return this.change(device, text, ['addr', 'del', text, 'dev', device], /Cannot assign|address not found/i);
  }

  async list(device: string): Promise<{ ok: true; prefixes: string[] } | Failure> {
    const r = await ip(['-j', 'addr', 'show', 'dev', device]);
    if (r.error !== undefined) return failure(device, device, r.error);
    const links = JSON.parse(r.output || '[]') as { addr_info?: { local?: string; prefixlen?: number }[] }[];
    const infos = links.flatMap((link) => link.addr_info ?? []);
    return { ok: true, prefixes: infos.filter((a) => a.local).map((a) => `${a.local}/${a.prefixlen}`) };
  }

  private async change(device: string, prefix: string, args: string[], done: RegExp): Promise<AddressOutcome> {
    const r = await ip(args);
    if (r.error === undefined) return { ok: true, changed: true };
    return done.test(r.error) ? { ok: true, changed: false } : failure(`${prefix} on ${device}`, device, r.error);
  }
}

function failure(what: string, device: string, error: string): Failure {
  if (/Cannot find device|does not exist/.test(error)) return noDevice(device);
  if (/not permitted|Permission denied/.test(error)) return refused(what, 'EPERM', 'operation not permitted');
  return refused(what, /ENOENT/.test(error) ? 'ENOENT' : 'EIO', error.trim().split('\n')[0]);
}

function ip(args: string[]): Promise<{ output: string; error?: string }> {
  return new Promise((resolve) => {
    // The answers are matched, so they must not be translated.
    const env = { PATH: '/usr/sbin:/sbin:/usr/bin:/bin', LC_ALL: 'C' };
    execFile('ip', args, { env, timeout: 10_000 }, (error, output, stderr) => {
      resolve({ output, error: error ? stderr || error.message : undefined });
    });
  });
}
