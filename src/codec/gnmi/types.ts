import type { Buffer } from 'node:buffer';

/** One step of a path; `key` has no prototype and is absent where there are no keys. */
export interface PathElem {
  name: string;
  key?: Record<string, string>;
}

/** A decoded path is shared between messages: never changed after it was made. */
export interface Path {
  origin: string;
  target: string;
  elem: readonly PathElem[];
  /** Text of `elem` with its keys: `/interfaces/interface[name=eth0]`; the root is `/`. */
  text: string;
}

export interface AnyValue {
  typeUrl: string;
  value: Buffer;
}

/**
 * A TypedValue by the arm it came in. 64-bit integers and decimal64 are decimal text, so that nothing is rounded. Buffers are views
 * of the message. `none` is an update without a value.
 */
export type TypedValue =
  | { type: 'string' | 'int64' | 'uint64' | 'decimal64' | 'ascii'; value: string }
  | { type: 'bool'; value: boolean }
  | { type: 'float' | 'double'; value: number }
  | { type: 'bytes' | 'json' | 'json_ietf' | 'proto'; value: Buffer }
  | { type: 'leaflist'; value: TypedValue[] }
  | { type: 'any'; value: AnyValue }
  | { type: 'none'; value: undefined };

export type ValueType = TypedValue['type'];

export interface Update {
  path: Path;
  val: TypedValue;
  /** How many values were coalesced into this one. */
  duplicates: number;
  /** Bytes on the wire: large notifications are split by it. */
  size: number;
}

export interface Notification {
  /** Nanoseconds since 1970 UTC, decimal text, as the device says. */
  timestamp: string;
  prefix: Path;
  updates: Update[];
  deletes: Path[];
  /** What was known under `prefix` and is not in this notification is gone. */
  atomic: boolean;
}

/** SubscribeResponse: exactly one of the arms, or `empty`. */
export type SubscribeResponse = (
  | { kind: 'update'; update: Notification }
  | { kind: 'sync'; sync: boolean }
  | { kind: 'error'; error: { code: number; message: string } }
  | { kind: 'empty' }
) & {
  /** gnmi_ext.Extension messages as they came. */
  extensions: Buffer[];
};

export const ENCODINGS = ['json', 'bytes', 'proto', 'ascii', 'json_ietf'] as const;
export type Encoding = (typeof ENCODINGS)[number];

export const STREAM_MODES = ['target-defined', 'on-change', 'sample'] as const;
export type StreamMode = (typeof STREAM_MODES)[number];

/** What is asked for; times in milliseconds. */
export interface SubscribeOptions {
  paths: readonly Path[];
  prefix?: Path;
  encoding: Encoding;
  streamMode: StreamMode;
  sampleInterval?: number;
  heartbeatInterval?: number;
  suppressRedundant?: boolean;
  updatesOnly?: boolean;
  qos?: number;
}

export interface Capabilities {
  version: string;
  encodings: string[];
  models: { name: string; organization: string; version: string }[];
}
