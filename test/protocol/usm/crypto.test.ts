import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodePduAt } from '../../../src/codec/snmp/decode.ts';
import {
  decodeScopedPdu,
  decodeUsmParameters,
  decodeV3Header,
  encryptedPdu,
  looksLikeV3,
} from '../../../src/codec/snmp/v3.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import {
  AUTH,
  AUTH_PROTOCOLS,
  type AuthProtocol,
  PRIV_PROTOCOLS,
  type PrivProtocol,
} from '../../../src/protocol/usm/algorithms.ts';
import { digestMatches } from '../../../src/protocol/usm/auth.ts';
import { localize, localizePriv, localKeys, masterKey } from '../../../src/protocol/usm/keys.ts';
import { decrypt, encrypt, paddingOf } from '../../../src/protocol/usm/priv.ts';

const { vectors } = JSON.parse(readFileSync(new URL('./net-snmp.json', import.meta.url), 'utf8')) as {
  vectors: { name: string; hex: string }[];
};

function ok<T>(x: T): Exclude<T, { ok: false }> {
  if (isDecodeError(x)) throw new Error(`${x.layer} ${x.code} at ${x.offset}`);
  return x as Exclude<T, { ok: false }>;
}

const ENGINE_2 = Buffer.from('000000000000000000000002', 'hex');

describe('keys of a passphrase', () => {
  it('RFC 3414 A.3.1: MD5', () => {
    const ku = masterKey('md5', 'maplesyrup');
    expect(ku.toString('hex')).toBe('9faf3283884e92834ebc9847d8edd963');
    expect(localize('md5', ku, ENGINE_2).toString('hex')).toBe('526f5eed9fcce26f8964c2930787d82b');
  });
  it('RFC 3414 A.3.2: SHA-1', () => {
    const ku = masterKey('sha1', 'maplesyrup');
    expect(ku.toString('hex')).toBe('9fb5cc0381497b3793528939ff788d5d79145211');
    expect(localize('sha1', ku, ENGINE_2).toString('hex')).toBe('6695febc9288e36282235fc7151f128497b38f3f');
  });
  it('Reeder extends MD5 and SHA-1 keys: the first octets are the localised key', () => {
    const ku = masterKey('sha1', 'maplesyrup');
    const k = localizePriv('sha1', 'aes256c', ku, ENGINE_2);
    expect(k).toHaveLength(32);
    expect(k.toString('hex', 0, 20)).toBe('6695febc9288e36282235fc7151f128497b38f3f');
    // draft-reeder-snmpv3-usm-3desede-00 section 2.2
    expect(k.toString('hex', 20)).toBe('9b8b6d78936ba6e7d19dfd9c'.slice(0, 24));
  });
  it('digests are cut as RFC 3414 and RFC 7860 say', () => {
    expect(AUTH_PROTOCOLS.map((p) => AUTH[p].digest)).toEqual([12, 12, 16, 24, 32, 48]);
  });
});

describe('what Net-SNMP sends', () => {
  it.each(vectors.map((v) => [v.name, v.hex]))('%s', (name, hex) => {
    const buf = Buffer.from(hex, 'hex');
    expect(looksLikeV3(buf)).toBe(true);
    const header = ok(decodeV3Header(buf));
    const usm = ok(decodeUsmParameters(buf, header));
    expect([usm.engineId.toString('hex'), usm.boots, usm.time]).toEqual(['8000000001020304', 5, 1000]);
    expect([usm.userName.toString(), header.maxSize, header.securityModel]).toEqual(['vector', 65507, 3]);
    let bytes: Buffer = buf;
    let scoped = decodeScopedPdu(buf, header.dataOffset, header.end);
    if (name !== 'noauth') {
      const [auth, privName] = name.split(' ') as [AuthProtocol, PrivProtocol | 'none'];
      const priv = privName === 'none' ? undefined : privName;
      const authKey = localize(auth, masterKey(auth, 'maplesyrup'), usm.engineId);
      const privKey = priv && localizePriv(auth, priv, masterKey(auth, 'pancakes and syrup'), usm.engineId);
      const keys = localKeys(auth, authKey, priv, privKey);
      expect(digestMatches(keys, buf, usm.authOffset, usm.authLength)).toBe(true);
      expect(buf.toString('hex')).toBe(hex);
      buf[usm.authOffset] ^= 1;
      expect(digestMatches(keys, buf, usm.authOffset, usm.authLength)).toBe(false);
      if (priv && keys.priv) {
        expect(isDecodeError(scoped)).toBe(true);
        bytes = decrypt(keys.priv, usm.boots, usm.time, usm.privParameters, ok(encryptedPdu(buf, header))) as Buffer;
        scoped = decodeScopedPdu(bytes, 0, bytes.length, paddingOf(keys.priv));
        expect(ok(scoped).contextName.toString()).toBe('ctx');
      }
    }
    const { pduOffset, end } = ok(scoped);
    const pdu = ok(decodePduAt(bytes, pduOffset, end));
    expect(pdu.pdu).toBe('trap');
    expect(pdu.varbinds.map((v) => [v.oid, v.value])).toEqual([
      ['1.3.6.1.2.1.1.3.0', 4711],
      ['1.3.6.1.6.3.1.1.4.1.0', '1.3.6.1.6.3.1.1.5.3'],
      ['1.3.6.1.2.1.2.2.1.1.7', 7],
    ]);
  });
  it.each(PRIV_PROTOCOLS)('%s: a block of filling may follow, as pysnmp sends it, and no more', (name) => {
    const master = masterKey('sha256', 'pancakes and syrup');
    const engine = Buffer.from('80001f8804aabbccdd', 'hex');
    const auth = localize('sha256', masterKey('sha256', 'maplesyrup'), engine);
    const keys = localKeys('sha256', auth, name, localizePriv('sha256', name, master, engine));
    const scoped = Buffer.from('300c04000400a7060201010201000'.padEnd(28, '0'), 'hex');
    const salt = Buffer.from('0001020304050607', 'hex');
    const outcome = (filling: number): boolean => {
      const sealed = encrypt(keys.priv!, 1, 2, salt, Buffer.concat([scoped, Buffer.alloc(filling)]));
      const plain = decrypt(keys.priv!, 1, 2, salt, sealed)!;
      return !isDecodeError(decodeScopedPdu(plain, 0, plain.length, paddingOf(keys.priv!)));
    };
    const block = name === 'des' ? 0 : 16;
    for (let filling = 0; filling <= block; filling++) expect(outcome(filling), `${filling}`).toBe(true);
    expect(outcome(32)).toBe(false);
  });
  it('is there for every combination', () => {
    expect(vectors).toHaveLength(1 + AUTH_PROTOCOLS.length * (1 + PRIV_PROTOCOLS.length));
  });
});

describe('privacy', () => {
  const ku = masterKey('sha256', 'maplesyrup');
  it.each(PRIV_PROTOCOLS)('%s decrypts what it encrypted', (priv) => {
    const keys = localKeys('sha256', ku, priv, localizePriv('sha256', priv, ku, ENGINE_2)).priv!;
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 100 }),
        fc.uint8Array({ minLength: 8, maxLength: 8 }),
        (plain, salt) => {
          const secret = encrypt(keys, 7, 99, salt, plain);
          const back = decrypt(keys, 7, 99, salt, secret)!;
          expect(Buffer.compare(back.subarray(0, plain.length), plain)).toBe(0);
          expect(back.length - plain.length).toBeLessThan(priv === 'des' ? 8 : 1);
        },
      ),
      { numRuns: 30 },
    );
  });
  it('RFC 3826 3.1.2.1: boots, time and salt make the IV', () => {
    const keys = localKeys('sha256', ku, 'aes128', localizePriv('sha256', 'aes128', ku, ENGINE_2)).priv!;
    const salt = Buffer.alloc(8, 1);
    const plain = Buffer.from('one block of txt');
    const one = encrypt(keys, 1, 2, salt, plain);
    for (const other of [encrypt(keys, 2, 2, salt, plain), encrypt(keys, 1, 3, salt, plain)])
      expect(other.equals(one)).toBe(false);
  });
  it('refuses lengths no sender makes', () => {
    const des = localKeys('md5', ku, 'des', localizePriv('md5', 'des', masterKey('md5', 'maplesyrup'), ENGINE_2)).priv!;
    expect(decrypt(des, 1, 1, Buffer.alloc(8), Buffer.alloc(15))).toBeUndefined();
    expect(decrypt(des, 1, 1, Buffer.alloc(7), Buffer.alloc(16))).toBeUndefined();
    expect(decrypt(des, 1, 1, Buffer.alloc(8), Buffer.alloc(0))).toBeUndefined();
  });
});
