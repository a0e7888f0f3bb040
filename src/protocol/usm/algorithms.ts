/** The authentication and privacy protocols of USM, by the names of the configuration. */

/** RFC 3414 section 6 and 7 (MD5, SHA-1), RFC 7860 (SHA-2): the hash, its length, and to how many octets the digest is cut. */
export const AUTH = {
  md5: { hash: 'md5', length: 16, digest: 12 },
  sha1: { hash: 'sha1', length: 20, digest: 12 },
  sha224: { hash: 'sha224', length: 28, digest: 16 },
  sha256: { hash: 'sha256', length: 32, digest: 24 },
  sha384: { hash: 'sha384', length: 48, digest: 32 },
  sha512: { hash: 'sha512', length: 64, digest: 48 },
} as const;

/**
 * RFC 3414 section 8 (DES), RFC 3826 (AES-128), and AES-192/256 which were never an RFC: their cipher is that of RFC 3826, and a
 * localised key that is too short is extended as draft-blumenthal-aes-usm-04 says, or (`c`, as Cisco has it) draft-reeder-snmpv3-usm-3desede.
 * `key`: octets of the localised key used; of DES 8 are the key and 8 the pre-IV.
 */
export const PRIV = {
  des: { cipher: 'des-ede3-cbc', key: 16, extension: 'none' },
  aes128: { cipher: 'aes-128-cfb', key: 16, extension: 'none' },
  aes192: { cipher: 'aes-192-cfb', key: 24, extension: 'blumenthal' },
  aes256: { cipher: 'aes-256-cfb', key: 32, extension: 'blumenthal' },
  aes192c: { cipher: 'aes-192-cfb', key: 24, extension: 'reeder' },
  aes256c: { cipher: 'aes-256-cfb', key: 32, extension: 'reeder' },
} as const;

export type AuthProtocol = keyof typeof AUTH;
export type PrivProtocol = keyof typeof PRIV;
export const AUTH_PROTOCOLS = Object.keys(AUTH) as [AuthProtocol, ...AuthProtocol[]];
export const PRIV_PROTOCOLS = Object.keys(PRIV) as [PrivProtocol, ...PrivProtocol[]];

export type SecurityLevel = 'noAuthNoPriv' | 'authNoPriv' | 'authPriv';

/** True where making the privacy key for one more engine hashes a megabyte. */
export function isCostly(auth: AuthProtocol, priv: PrivProtocol | undefined): boolean {
  return priv !== undefined && PRIV[priv].extension === 'reeder' && PRIV[priv].key > AUTH[auth].length;
}
