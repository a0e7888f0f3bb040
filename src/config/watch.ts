/**
 * Follows the configuration file and the inventory while an instance runs: a change is loaded, planned, and applied as far as it
 * can be without a restart. Whatever is wrong with it, what runs goes on.
 */
import { unwatchFile, watchFile } from 'node:fs';
import type { AlarmRule } from '../collectors/snmp-trap/alarm-rules.ts';
import type { Logger } from '../core/log.ts';
import type { InventoryEntry } from '../inventory/inventory.ts';
import { loadAlarms } from './alarms-file.ts';
import { loadInventory } from './inventory-file.ts';
import { loadConfig } from './load.ts';
import { mergeLive, mergeLiveDocument, planReload } from './plan.ts';
import type { Config } from './schema.ts';
import { formatProblem } from './yaml.ts';

export interface Reloadable {
  /** `wanted`: with the parts that wait for a restart; `document`: as the API shows it. */
  reconfigure(config: Config, wanted: Config, document: Record<string, unknown>): void;
  replaceInventory(entries: InventoryEntry[]): void;
  replaceAlarms(rules: AlarmRule[]): void;
  reloadMibs(): void;
}

export interface WatchOptions {
  configFile: string | undefined;
  config: Config;
  document: Record<string, unknown>;
  /** What `${file:…}` names. */
  files: readonly string[];
  env: Record<string, string | undefined>;
  log: Logger;
  supervisor: Reloadable;
  /** Registers what to do on SIGHUP. */
  onReload: (fn: () => void) => void;
}

/** Polling works for every file system and for the link swap of a mounted ConfigMap. */
const POLL_MS = 1000;

/** Begins to follow; returns how to end it. */
export function watchChanges(o: WatchOptions): () => void {
  let running = o.config;
  let document = o.document;
  let named: readonly string[] = [];
  const watched = new Map<string, () => void>();
  const watch = (file: string, fn: () => void): void => {
    watchFile(file, { interval: POLL_MS, persistent: false }, (now, before) => {
      if (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino || now.size !== before.size) fn();
    });
    watched.set(file, fn);
  };

  const inventoryChanged = (): void => {
    const file = running.inventory?.file;
    if (file === undefined) return;
    const loaded = loadInventory(file);
    if (loaded.problems.length) {
      o.log.error(
        { problems: loaded.problems.map(formatProblem) },
        'the inventory is not usable; the previous one stays in force',
      );
      return;
    }
    o.supervisor.replaceInventory(loaded.entries);
    o.log.info({ file, devices: loaded.entries.length }, 'inventory reloaded');
  };

  const alarmsChanged = (): void => {
    const { file } = running.alarms;
    if (file === undefined) return;
    const loaded = loadAlarms(file);
    if (loaded.problems.length) {
      o.log.error(
        { problems: loaded.problems.map(formatProblem) },
        'the alarm rules are not usable; the previous ones stay in force',
      );
      return;
    }
    o.supervisor.replaceAlarms(loaded.rules);
    o.log.info({ file, rules: loaded.rules.length }, 'alarm rules reloaded');
  };

  const configChanged = (): void => {
    if (o.configFile === undefined) return;
    const loaded = loadConfig(o.configFile, o.env);
    if ('problems' in loaded) {
      o.log.error(
        { problems: loaded.problems.map(formatProblem) },
        'the configuration is not usable; what runs goes on',
      );
      return;
    }
    follow(loaded.files);
    const plan = planReload(running, loaded.config);
    if (plan.live.length === 0 && plan.restart.length === 0) return;
    const before = running.inventory?.file;
    const rulesBefore = running.alarms.file;
    document = mergeLiveDocument(document, loaded.document, running, loaded.config);
    running = mergeLive(running, loaded.config);
    if (plan.live.length) o.supervisor.reconfigure(running, loaded.config, document);
    if (running.inventory?.file !== before) {
      if (before !== undefined) unwatchFile(before);
      if (running.inventory) watch(running.inventory.file, inventoryChanged);
      o.supervisor.replaceInventory(loaded.inventory);
    }
    if (running.alarms.file !== rulesBefore) {
      if (rulesBefore !== undefined) unwatchFile(rulesBefore);
      if (running.alarms.file !== undefined) watch(running.alarms.file, alarmsChanged);
      o.supervisor.replaceAlarms(loaded.alarms);
    }
    o.log.info({ applied: plan.live, needs_restart: plan.restart }, 'configuration reloaded');
  };

  /** Secrets are renewed in their own files: what is no more named is no more followed. */
  const follow = (files: readonly string[]): void => {
    for (const file of named) {
      if (files.includes(file)) continue;
      unwatchFile(file);
      watched.delete(file);
    }
    for (const file of files) if (!named.includes(file)) watch(file, configChanged);
    named = files;
  };

  if (o.configFile !== undefined) watch(o.configFile, configChanged);
  follow(o.files);
  if (running.inventory) watch(running.inventory.file, inventoryChanged);
  if (running.alarms.file !== undefined) watch(running.alarms.file, alarmsChanged);
  o.onReload(() => {
    configChanged();
    inventoryChanged();
    alarmsChanged();
    o.supervisor.reloadMibs();
  });
  return () => {
    for (const file of watched.keys()) unwatchFile(file);
  };
}
