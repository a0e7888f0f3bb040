/** A small PKI made with openssl: one CA, a server key store for the broker, client certificates that can be exchanged. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface LabCertificates {
  ca: string;
  /** The CAs the broker trusts for clients. */
  clientCas: string;
  serverStore: string;
  password: string;
  /** Issues a client certificate; `trusted: false` comes from a CA the broker does not know. */
  client(name: string, trusted?: boolean): { cert: string; key: string };
}

function openssl(dir: string, ...args: string[]): void {
  execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
}

function makeCa(dir: string, name: string): void {
  openssl(
    dir,
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.pem`],
  );
}

function issue(dir: string, ca: string, name: string, san?: string): void {
  openssl(
    dir,
    ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`],
    ...['-keyout', `${name}.key`, '-out', `${name}.csr`],
  );
  if (san !== undefined) writeFileSync(join(dir, `${name}.ext`), `subjectAltName=${san}\n`);
  openssl(
    dir,
    ...['x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial'],
    ...['-days', '2', '-out', `${name}.pem`, ...(san !== undefined ? ['-extfile', `${name}.ext`] : [])],
  );
}

export function labCertificates(dir: string, address: string): LabCertificates {
  mkdirSync(dir, { recursive: true });
  const password = 'lab-store';
  makeCa(dir, 'lab-ca');
  makeCa(dir, 'other-ca');
  issue(dir, 'lab-ca', 'broker', `IP:${address},DNS:localhost`);
  openssl(
    dir,
    ...['pkcs12', '-export', '-in', 'broker.pem', '-inkey', 'broker.key', '-certfile', 'lab-ca.pem'],
    ...['-out', 'broker.p12', '-passout', `pass:${password}`],
  );
  copyFileSync(join(dir, 'lab-ca.pem'), join(dir, 'client-cas.pem'));
  return {
    ca: join(dir, 'lab-ca.pem'),
    clientCas: join(dir, 'client-cas.pem'),
    serverStore: join(dir, 'broker.p12'),
    password,
    client(name, trusted = true) {
      issue(dir, trusted ? 'lab-ca' : 'other-ca', name);
      return { cert: join(dir, `${name}.pem`), key: join(dir, `${name}.key`) };
    },
  };
}
