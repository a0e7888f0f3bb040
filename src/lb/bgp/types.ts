/** What a BGP session is given, and what it says of itself. */
import type { Capability } from '../../codec/bgp/index.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { Dial } from '../../net/types.ts';
import type { DownFacts, NotificationFacts } from '../../protocol/bgp/machine.ts';
import type { Registry } from '../../telemetry/registry.ts';
import type { BfdManager, BfdStatus } from '../bfd/session.ts';
import type { BgpConfig, BgpPeerConfig } from './config.ts';

/** What sessions share. */
export interface SessionContext {
  clock: Clock;
  log: Logger;
  metrics: Registry;
  dial: Dial;
  random?: () => number;
  /** The address of an interface in a family; undefined: it has none. */
  addressOf?(iface: string, family: 4 | 6): string | undefined;
  /** The interface or VRF of a network. */
  deviceOf?(network: string): string | undefined;
  /** This speaker died while what it announced lived on (RFC 4724), so lately that peers may still keep its routes. */
  restarted?(): boolean;
  /** Absent: no BFD. */
  bfd?: BfdManager;
}

export interface SessionOptions extends SessionContext {
  peer: BgpPeerConfig;
  bgp: BgpConfig;
  routerId: string;
  /** After anything that changes what the status says; `down` where a session ended. */
  onChange(
    change:
      | { state: 'up' }
      | { state: 'down'; facts: DownFacts }
      | { state: 'sent' }
      | { state: 'bfd'; from: string; to: string },
  ): void;
}

export interface SessionStatus {
  peer: string;
  port: number;
  asn: number;
  state: string;
  /** UTC milliseconds since when Established. */
  established_since?: number;
  /** Who opened the connection. */
  dialled_by?: 'us' | 'peer';
  local_address?: string;
  hold_time?: number;
  families?: string[];
  /** Of the peer's OPEN. */
  capabilities?: Capability[];
  /** Ours towards the peer, and what its OPEN says (RFC 9234). */
  role?: string;
  peer_role?: string;
  md5: boolean;
  tcp_ao: boolean;
  gtsm: boolean;
  end_of_rib: string[];
  prefixes_sent: number;
  updates_sent: number;
  updates_dropped: number;
  bfd?: BfdStatus;
  /** Configured, and in force from the next session on. */
  pending?: string[];
  last_down?: DownFacts & { at: number };
  /** The last one that passed, of whichever session or attempt; a later attempt without one leaves it. `at`: UTC milliseconds. */
  last_notification?: NotificationFacts & { from: 'peer' | 'us'; at: number };
}
