/** What an operator can do about a reason that a worker gives for being no good, or less good, for its VIPs. Pure. */

/** Which part of the way from the socket to Kafka a reason is about. */
export type Place = 'socket' | 'kernel' | 'spool' | 'export' | 'process';

export interface Remedy {
  at: Place;
  /** What it means, where the reason alone does not say so. */
  meaning?: string;
  fix: string;
}

export interface RemedyContext {
  dataDir: string;
  /** `ADDR:PORT` of every listener. */
  listening: string;
}

/** Where the native add-on is missing. */
export const ADD_ON = 'install a C compiler and run: npm rebuild';

/** Of a soft reason: the node still takes everything, but other nodes are preferred. */
export function softRemedy(reason: string): Remedy {
  if (reason.startsWith('spool full'))
    return {
      at: 'spool',
      fix: 'restore Kafka (`tidegate status` says what stands in the way), or enlarge spool.max_bytes',
    };
  if (reason.startsWith('spool '))
    return {
      at: 'spool',
      meaning: 'the node stays degraded until fill is below spool.low_water',
      fix: 'see the problems of the exporters: restore Kafka or give it more throughput, or enlarge spool.max_bytes',
    };
  if (/^exporter .* delivers nothing/.test(reason))
    return {
      at: 'export',
      meaning: 'events wait in the spool',
      fix: 'see the problems of the exporter: brokers, topics, ACLs; `tidegate check --connect` tries them',
    };
  if (reason === 'kernel-drops')
    return {
      at: 'kernel',
      meaning: 'the kernel dropped datagrams in the last seconds because the buffer of a socket was full',
      fix: 'raise net.core.rmem_max, give the process CAP_NET_ADMIN, or add workers',
    };
  if (reason === 'draining')
    return {
      at: 'process',
      meaning: 'somebody asked this node to be avoided',
      fix: '`tidegate lb undrain` ends it; audit.v1 says who asked',
    };
  return { at: 'process', fix: 'see the log of this node' };
}

/** Of a hard reason, or of what keeps a worker from running at all. */
export function hardRemedy(reason: string, c: RemedyContext): Remedy {
  if (reason.startsWith('SNMPv3: the keys'))
    return {
      at: 'process',
      fix: 'wait: a passphrase takes 1 to 2 ms, on one core; with master_key or localized_key in its place there is nothing to wait for',
    };
  if (/ENOSPC|EDQUOT/.test(reason)) return { at: 'spool', fix: `free space on the file system of ${c.dataDir}` };
  if (/EROFS/.test(reason))
    return {
      at: 'spool',
      fix: `the file system of ${c.dataDir} is read-only: see the kernel's log, mount it writable`,
    };
  if (/EACCES|EPERM/.test(reason) && !/bound|socket/.test(reason))
    return {
      at: 'spool',
      fix: `give ${c.dataDir} and everything in it to the user that workers run as (\`user:\`), and make it writable`,
    };
  if (/EIO/.test(reason)) return { at: 'spool', fix: 'the disk fails: see the log of the kernel, replace the disk' };
  if (/\bversion\b/.test(reason) && /newer|format/.test(reason))
    return { at: 'spool', fix: 'run the version of tidegate that wrote it, or a newer one' };
  if (/^(worker \d+ is )?starting$|not read yet/.test(reason))
    return {
      at: 'process',
      fix: 'nothing: it reads its spool, and then all workers begin together; ask again in a moment',
    };
  if (/^stopp(ing|ed)$/.test(reason)) return { at: 'process', fix: 'nothing: the instance ends in order' };
  if (/bound|socket|EADDR/.test(reason)) return { at: 'socket', fix: `free the address or correct it: ${c.listening}` };
  if (/disk|sync|spool/.test(reason))
    return { at: 'spool', fix: `look at the disk of ${c.dataDir}; see the log of this node` };
  return { at: 'process', fix: 'see the log of this node' };
}
