import type { TapFilter } from './messages.ts';

/** Does an event pass? `type` may end in `*`; `device` is an id or a name. */
export function matchesTap(f: TapFilter, type: string, deviceId: string, deviceName: string): boolean {
  if (f.type !== undefined && (f.type.endsWith('*') ? !type.startsWith(f.type.slice(0, -1)) : type !== f.type))
    return false;
  return (
    f.device === undefined || f.device === deviceId || f.device === deviceName || deviceId.endsWith(`|${f.device}`)
  );
}
