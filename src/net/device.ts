/**
 * Streams of libraries that dial for themselves, bound to a VRF or interface (SO_BINDTODEVICE): what `network:` means for a Kafka
 * exporter and a gNMI target. Names are looked up where the process stands, as every name is; only the connection takes the device.
 */
import { lookup } from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net, { type NetConnectOpts, Socket, type TcpNetConnectOpts } from 'node:net';
import { parseIp } from '../core/ip.ts';
import { loadNative, type Native, nativeProblem } from './native.ts';

/** The device of a network, by name; undefined: none is to be bound. */
export function deviceOf(
  networks: Readonly<Record<string, { device?: string }>>,
  network: string | undefined,
): string | undefined {
  return network === undefined ? undefined : networks[network]?.device;
}

/**
 * A socket that connects to `host` (a name or an address) over `device`. Never throws: what went wrong is its 'error', as with a socket
 * that finds nobody.
 */
export function connectThrough(device: string, host: string, port: number): Socket {
  const native = loadNative();
  if (!native) return failed(`a device cannot be bound without the add-on: ${nativeProblem() ?? 'not built'}`);
  const bytes = parseIp(host);
  try {
    if (bytes) return open(native, device, bytes.length === 4 ? 4 : 6).connect({ host, port, autoSelectFamily: false });
    // A name may turn out to be of either family: an IPv6 socket takes both (RFC 4291, section 2.5.5.2).
    return open(native, device, 6).connect({
      host,
      port,
      autoSelectFamily: false,
      family: 6,
      lookup: mapped,
    } as TcpNetConnectOpts);
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
}

function open(native: Native, device: string, family: 4 | 6): Socket {
  const fd = native.openTcpClient({ family, device });
  return new Socket({ fd, readable: true, writable: true, manualStart: true } as { fd: number });
}

function failed(why: string): Socket {
  const socket = new Socket();
  process.nextTick(() => socket.destroy(new Error(why)));
  return socket;
}

type Found = (error: NodeJS.ErrnoException | null, address: string, family: number) => void;

function mapped(host: string, _options: unknown, done: Found): void {
  lookup(host, { verbatim: true }, (error, address, family) => {
    if (error) done(error, '', 0);
    else done(null, family === 4 ? `::ffff:${address}` : address, 6);
  });
}

let wanted: string | undefined;
let installed = false;

/**
 * Runs `dial`, in which a library opens a plain stream by node:net's createConnection: that one, and no other, takes the device. For a
 * library that has no place to give it a socket.
 */
export function throughDevice<T>(device: string, dial: () => T): T {
  install();
  wanted = device;
  try {
    return dial();
  } finally {
    wanted = undefined;
  }
}

function install(): void {
  if (installed) return;
  installed = true;
  const plain = net.createConnection as (...args: unknown[]) => Socket;
  net.createConnection = ((...args: unknown[]): Socket => {
    const options = args[0] as NetConnectOpts | undefined;
    if (wanted === undefined || typeof options !== 'object' || !('port' in options)) return plain(...args);
    const socket = connectThrough(wanted, options.host ?? 'localhost', options.port);
    if (options.timeout) socket.setTimeout(options.timeout);
    return socket;
  }) as typeof net.createConnection;
  // Libraries hold it as an import, not as a property.
  syncBuiltinESMExports();
}
