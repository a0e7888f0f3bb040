/** Certificates, keys and tokens on disk: read at each connection, watched so that a new one is taken without a restart. */
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import { shortHash } from '../../core/hash.ts';
import type { ResolvedSasl } from './client.ts';
import type { KafkaConfig } from './config.ts';

/** What the files say now. Throws the operating system's error where one cannot be read: the connection fails with it. */
export function readTls(tls: NonNullable<KafkaConfig['tls']>): ConnectionOptions {
  return {
    ...(tls.ca === undefined ? {} : { ca: readFileSync(tls.ca) }),
    ...(tls.cert === undefined ? {} : { cert: readFileSync(tls.cert) }),
    ...(tls.key === undefined ? {} : { key: readFileSync(tls.key) }),
  };
}

/** Read at each connection from `sasl` as it is then: who changes it has to connect again. */
export function resolveSasl(sasl: NonNullable<KafkaConfig['sasl']>): ResolvedSasl {
  const { token_file } = sasl;
  return {
    mechanism: sasl.mechanism,
    get username() {
      return sasl.username;
    },
    get password() {
      return sasl.password;
    },
    token: () => (token_file === undefined ? (sasl.token ?? '') : readFileSync(token_file, 'utf8').trim()),
  };
}

/** The files a configuration names. */
export function credentialFiles(c: Pick<KafkaConfig, 'tls' | 'sasl'>): string[] {
  return [c.tls?.ca, c.tls?.cert, c.tls?.key, c.sasl?.token_file].filter((f) => f !== undefined);
}

/** Calls `onChange` when the content of a file has changed and all can be read. Polls: Kubernetes exchanges such files by links. */
export class FileWatch {
  private readonly files: string[];
  private readonly clock: Clock;
  private readonly everyMs: number;
  private readonly onChange: () => void;
  private timer: TimerHandle | undefined;
  private last: string | undefined;

  constructor(files: string[], clock: Clock, onChange: () => void, everyMs = 2000) {
    this.files = files;
    this.clock = clock;
    this.onChange = onChange;
    this.everyMs = everyMs;
    if (files.length === 0) return;
    this.last = this.digest();
    this.arm();
  }

  stop(): void {
    if (this.timer) this.clock.clearTimeout(this.timer);
    this.timer = undefined;
  }

  private arm(): void {
    this.timer = this.clock.setTimeout(() => {
      const now = this.digest();
      if (now !== undefined && now !== this.last) {
        this.last = now;
        this.onChange();
      }
      this.arm();
    }, this.everyMs);
  }

  private digest(): string | undefined {
    try {
      return shortHash(Buffer.concat(this.files.map((f) => readFileSync(f))));
    } catch {
      return undefined;
    }
  }
}
