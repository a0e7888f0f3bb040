/** What an authentic v3 message says of itself, for its event. */
import { octetText } from '../../codec/snmp/render.ts';
import { LOCAL_ENGINE_ID } from '../../protocol/usm/engine.ts';
import type { Accepted } from '../../protocol/usm/machine.ts';
import type { Spoken } from './normalise.ts';

/**
 * The engine of a trap is the authoritative one, which is the sender's. Of an inform we are authoritative, so it is the context's; where
 * the sender put ours there, too, it does not say its own.
 */
export function spokenOf(a: Accepted): Spoken {
  const { contextEngineId, contextName } = a.scoped;
  const spoken: Spoken = { version: 'v3', security: { user: a.user, level: a.level } };
  if (!a.local) spoken.engineId = a.engineId.toString('hex');
  else if (
    contextEngineId.length >= 5 &&
    contextEngineId.length <= 32 &&
    !contextEngineId.equals(a.engineId) &&
    !contextEngineId.equals(LOCAL_ENGINE_ID)
  )
    spoken.engineId = contextEngineId.toString('hex');
  // Unambiguous: no two names have one text, so what hashes the text hashes the octets.
  if (contextName.length > 0) spoken.context = octetText(contextName);
  return spoken;
}
