/** Turns whatever a client library threw into a ClientError. Libraries nest: the telling error is often a cause or one of several. */
import { ClientError, type ClientFailure } from './errors.ts';

const AUTHENTICATION = /AUTHENTICATION|SASL_/i;
const TLS = /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_OSSL)/;

interface Loose {
  name?: unknown;
  code?: unknown;
  type?: unknown;
  message?: unknown;
  cause?: unknown;
  errors?: unknown;
  apiCode?: unknown;
}

/** Errors inside errors, outermost first; bounded. */
function flatten(e: unknown, out: Loose[] = [], depth = 0): Loose[] {
  if (typeof e !== 'object' || e === null || depth > 6 || out.length > 50) return out;
  const loose = e as Loose;
  out.push(loose);
  flatten(loose.cause, out, depth + 1);
  if (Array.isArray(loose.errors)) for (const inner of loose.errors) flatten(inner, out, depth + 1);
  return out;
}

/** The reason that an operator can act on, from any error of a client library. */
export function toClientError(e: unknown): ClientError {
  if (e instanceof ClientError) return e;
  const all = flatten(e);
  let failure: ClientFailure = 'network';
  let telling: Loose | undefined;
  for (const x of all) {
    const text = `${x.name ?? ''} ${x.code ?? ''} ${x.type ?? ''}`;
    if (AUTHENTICATION.test(text)) {
      failure = 'authentication';
      telling = all.findLast((y) => AUTHENTICATION.test(`${y.name ?? ''} ${y.code ?? ''} ${y.type ?? ''}`)) ?? x;
      break;
    }
    if (typeof x.code === 'string' && TLS.test(x.code)) {
      failure = 'tls';
      telling = x;
      break;
    }
    if (typeof x.message === 'string' && /TLS|tls alert|certificate/.test(x.message)) {
      failure = 'tls';
      telling = x;
    } else if (failure === 'network' && typeof x.message === 'string' && /timed? ?out/i.test(x.message)) {
      failure = 'timeout';
      telling = x;
    }
  }
  const innermost = telling ?? all.findLast((x) => typeof x.message === 'string' && x.message !== '');
  const apiCode = all.find((x) => typeof x.apiCode === 'number')?.apiCode as number | undefined;
  return new ClientError(failure, oneLine(innermost?.message ?? String(e)), apiCode);
}

function oneLine(text: unknown): string {
  return String(text).replace(/\s+/g, ' ').trim().slice(0, 300);
}
