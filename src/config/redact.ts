/** What may be shown of a configuration: keys that hold secrets are masked. */
/** Also asked before a value is shown in an error. */
export const SECRET = /^(password|passphrase|secret|token|key_passphrase|master_key|localized_key|community)$/;

export function redact(value: unknown, key = ''): unknown {
  if (Array.isArray(value))
    return key === 'communities'
      ? value.map((v) => (typeof v === 'object' && v !== null && 'name' in v ? { ...v, name: '***' } : v))
      : value.map((v) => redact(v, key));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([k, v]) => [k, SECRET.test(k) && v !== undefined ? '***' : redact(v, k)]),
    );
  // A token written where its mapping should stand.
  if (key === 'tokens' && value !== undefined) return '***';
  // A private key given inline, whatever its key is called.
  if (typeof value === 'string' && /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(value)) return '***';
  return value;
}
