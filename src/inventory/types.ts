import type { Device } from '../event/types.ts';

/** What a device can be recognised by. Two networks may use the same address for two devices. */
export interface DeviceHints {
  network: string;
  /** RFC 5952 text. */
  address: string;
  engineId?: string;
  bgpId?: string;
  sysName?: string;
  target?: string;
}

export interface Inventory {
  /** The device these hints belong to; an unknown one gets the id `network|address`. Cheap: asked for every event, answers are cached by the caller's key. */
  resolve(hints: DeviceHints): Device;
  /** Rises with each reload of the file: whoever caches devices compares it. */
  readonly version: number;
}
