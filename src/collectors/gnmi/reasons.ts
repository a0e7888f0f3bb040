/** Why a stream ended, in our own words: the gRPC status (grpc.io/docs/guides/status-codes) → a code of telemetry/codes.ts. */
import type { GrpcEnd } from '../../net/grpc.ts';
import type { RefusalCode } from '../../telemetry/codes.ts';

const CREDENTIALS = new Set(['UNAUTHENTICATED', 'PERMISSION_DENIED']);
const SUBSCRIPTION = new Set(['INVALID_ARGUMENT', 'NOT_FOUND', 'FAILED_PRECONDITION', 'OUT_OF_RANGE', 'UNIMPLEMENTED']);
const TLS =
  /\btls\b|\bssl\b|certificate|handshake|self.signed|altnames|wrong version number|EPROTO|ERR_TLS|before secure/i;

export function endCode(e: GrpcEnd): RefusalCode {
  if (CREDENTIALS.has(e.status)) return 'target-credentials';
  if ((e.status === 'UNAVAILABLE' || e.status === 'FAILED_PRECONDITION') && TLS.test(e.details)) return 'target-tls';
  if (SUBSCRIPTION.has(e.status)) return 'target-subscription';
  if (e.status === 'RESOURCE_EXHAUSTED') return 'target-limit';
  return e.status === 'UNAVAILABLE' ? 'target-unreachable' : 'target-closed';
}
