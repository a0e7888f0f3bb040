/**
 * Notification → alarm (ITU-T X.733), from the notification alone: no state is kept, so that the raise that one node sees and the clear
 * that another one sees have the same id.
 *
 *   id   hash of the device, the kind of alarm and the managed object; nothing of the site, the node or the time
 */
import { Buffer } from 'node:buffer';
import type { VarBind } from '../../codec/snmp/message.ts';
import type { NotificationMemo } from '../../codec/snmp/notification-cache.ts';
import { octetText } from '../../codec/snmp/render.ts';
import type { Notification } from '../../codec/snmp/rfc3584.ts';
import { shortHash } from '../../core/hash.ts';
import type { Named, Names } from '../../mib/names.ts';
import type { AlarmRule } from './alarm-rules.ts';

/** `alarm` of snmp.trap.v1. */
export interface Alarm {
  id: string;
  /** `event`: nothing that lasts, so nothing clears it. */
  state: 'raised' | 'cleared' | 'event';
  perceived_severity: 'cleared' | NonNullable<AlarmRule['severity']>;
  event_type: string;
  probable_cause: string;
  /** `device`, or what of it: `interface=7`. */
  managed_object: string;
}

/** An alarm, and `,"alarm":…` as it stands in an event, UTF-8. */
export interface MadeAlarm {
  alarm: Alarm;
  json: Buffer;
}

/** A rule, and which of the device's objects it is about: the object, or the instance that tells it. */
interface About {
  rule: AlarmRule;
  object: string | Named;
}

const CACHE_LIMIT = 8192;
/** Longer keys are rare; keeping them would let a flood fill much memory. */
const CACHED_LENGTH = 512;
/** That share what was made of one notification. */
const REMEMBERED_DEVICES = 64;
const NO_RULES: readonly AlarmRule[] = [];

export class Alarms {
  private readonly rules: readonly AlarmRule[];
  private readonly names: Names;
  /** Trap OID → its rules, in order. */
  private readonly byTrap = new Map<string, readonly AlarmRule[]>();
  /** The alarms of a flapping port repeat: by rule, device and object, or the instance that tells it. */
  private readonly made = new Map<AlarmRule, Map<string, Map<string | Named, MadeAlarm>>>();
  private size = 0;

  /** `rules` in order: the first that fits makes the alarm. */
  constructor(rules: readonly AlarmRule[], names: Names) {
    this.rules = rules;
    this.names = names;
  }

  /** Undefined where no rule fits, or the one that does cannot tell which object it is about. */
  of(n: Notification, deviceId: string): Alarm | undefined {
    return this.find(n, deviceId)?.alarm;
  }

  /** The same with its JSON; shared by all notifications that make it. */
  find(n: Notification, deviceId: string): MadeAlarm | undefined {
    const { memo } = n;
    if (memo?.alarm !== undefined && memo.alarm.by === this) return this.remembered(memo.alarm, deviceId);
    const rules = this.rulesOf(n.trapOid);
    if (rules.length === 0) return undefined;
    const about = this.judge(rules, n.varbinds);
    if (memo !== undefined && this.steady(rules, n.varbinds, memo.varying))
      memo.alarm = { by: this, said: about, devices: new Map() };
    return about && this.make(about.rule, about.rule.state as Alarm['state'], deviceId, about.object);
  }

  private remembered(memo: NonNullable<NotificationMemo['alarm']>, deviceId: string): MadeAlarm | undefined {
    const about = memo.said as About | undefined;
    if (about === undefined) return undefined;
    const { devices } = memo;
    let made = devices.get(deviceId) as MadeAlarm | undefined;
    if (made === undefined) {
      made = this.make(about.rule, about.rule.state as Alarm['state'], deviceId, about.object);
      if (devices.size >= REMEMBERED_DEVICES) devices.clear();
      devices.set(deviceId, made);
    }
    return made;
  }

  /** Whether no rule reads a value that varies. */
  private steady(rules: readonly AlarmRule[], varbinds: readonly VarBind[], varying: readonly boolean[]): boolean {
    const read = new Set(rules.flatMap((r) => [...Object.keys(r.when ?? {}), ...(r.value_of ?? [])]));
    if (read.size === 0) return true;
    return varbinds.every((v, i) => {
      const named = varying[i] ? this.names.object(v.oid) : undefined;
      return named === undefined || !read.has(this.names.table.name(named.node));
    });
  }

  /** The first rule that fits, and the object. */
  private judge(rules: readonly AlarmRule[], varbinds: readonly VarBind[]): About | undefined {
    for (const rule of rules) {
      if (rule.when !== undefined && !this.fits(rule.when, varbinds)) continue;
      if (rule.state === 'none') return undefined;
      const object = this.instanceOf(rule, varbinds) ?? this.managedObject(rule, varbinds);
      return object === undefined ? undefined : { rule, object };
    }
    return undefined;
  }

  private rulesOf(trapOid: string): readonly AlarmRule[] {
    let rules = this.byTrap.get(trapOid);
    if (rules === undefined) {
      const full = this.names.trap(trapOid);
      const short = full?.slice(full.indexOf('::') + 2);
      const found = this.rules.filter((r) => r.on.some((on) => on === trapOid || on === full || on === short));
      rules = found.length > 0 ? found : NO_RULES;
      if (trapOid.length > CACHED_LENGTH) return rules;
      if (this.byTrap.size >= CACHE_LIMIT) this.byTrap.clear();
      this.byTrap.set(trapOid, rules);
    }
    return rules;
  }

  private fits(when: NonNullable<AlarmRule['when']>, varbinds: readonly VarBind[]): boolean {
    for (const name in when) {
      const found = this.varbind(name, varbinds);
      if (!found) return false;
      const { value } = found.varbind;
      const label = typeof value === 'number' ? found.named.type?.values?.[value] : undefined;
      const text = typeof value === 'string' || typeof value === 'number' ? String(value) : value?.toString('latin1');
      if (!when[name].some((w) => w === value || w === label || String(w) === text)) return false;
    }
    return true;
  }

  private varbind(name: string, varbinds: readonly VarBind[]): { varbind: VarBind; named: Named } | undefined {
    for (const varbind of varbinds) {
      const named = this.names.object(varbind.oid);
      if (named?.type !== undefined && this.names.table.name(named.node) === name) return { varbind, named };
    }
    return undefined;
  }

  /** The device, or the values of all of the rule's objects, where they are scalars. */
  private managedObject(r: AlarmRule, varbinds: readonly VarBind[]): string | undefined {
    if (r.object === undefined || r.object === 'device') return 'device';
    if (r.value_of !== undefined) {
      const values: string[] = [];
      for (const name of r.value_of) {
        const found = this.varbind(name, varbinds);
        if (!found) return undefined;
        const { value } = found.varbind;
        values.push(Buffer.isBuffer(value) ? octetText(value) : String(value));
      }
      return `${r.object}=${values.join(',')}`;
    }
    return undefined;
  }

  /** Where an instance tells the object: that of the first of the rule's objects that came along; without a list, of the first column. */
  private instanceOf(r: AlarmRule, varbinds: readonly VarBind[]): Named | undefined {
    if (r.object === undefined || r.object === 'device' || r.value_of !== undefined) return undefined;
    if (r.instance_of !== undefined) {
      for (const name of r.instance_of) {
        const named = this.varbind(name, varbinds)?.named;
        if (named?.instance) return named;
      }
      return undefined;
    }
    const { table } = this.names;
    for (const v of varbinds) {
      const named = this.names.object(v.oid);
      if (named?.instance && table.kind(named.node) === 'column') return named;
    }
    return undefined;
  }

  /** `about`: the object, or the instance that tells it; `Names` keeps those, so an alarm that was met before is found without a text. */
  private make(r: AlarmRule, state: Alarm['state'], device: string, about: string | Named): MadeAlarm {
    let devices = this.made.get(r);
    let objects = devices?.get(device);
    const known = objects?.get(about);
    if (known !== undefined) return known;
    const object = typeof about === 'string' ? about : `${r.object}=${about.instance.slice(1)}`;
    const alarm: Alarm = {
      id: shortHash(`${device}\n${r.kind!}\n${object}`),
      state,
      perceived_severity: state === 'cleared' ? 'cleared' : r.severity!,
      event_type: r.event_type!,
      probable_cause: r.probable_cause!,
      managed_object: object,
    };
    const made = { alarm, json: Buffer.from(`,"alarm":${JSON.stringify(alarm)}`) };
    if (device.length + object.length > CACHED_LENGTH) return made;
    if (this.size >= CACHE_LIMIT) {
      this.made.clear();
      this.size = 0;
      devices = undefined;
      objects = undefined;
    }
    if (devices === undefined) this.made.set(r, (devices = new Map()));
    if (objects === undefined) devices.set(device, (objects = new Map()));
    objects.set(about, made);
    this.size++;
    return made;
  }
}
