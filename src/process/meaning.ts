/** What the supervisor tells its workers about the meaning of notifications, and how a worker makes it. */
import { readFileSync } from 'node:fs';
import type { AlarmRule } from '../collectors/snmp-trap/alarm-rules.ts';
import { type Meaning, meaningOf } from '../collectors/snmp-trap/meaning.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { decodeTable } from '../mib/table.ts';
import { Mibs } from './mibs.ts';

export interface MeaningSource {
  /** The compiled MIB table, relative to data_dir; absent: the built-in facts. */
  table?: string;
  alarms: AlarmRule[];
}

/** With a table that cannot be read the built-in names are used, and the log says so. */
export function makeMeaning(source: MeaningSource, log: Logger): Meaning {
  if (source.table === undefined) return meaningOf(source.alarms);
  let problem: string;
  try {
    const table = decodeTable(readFileSync(source.table));
    if (typeof table !== 'string') return meaningOf(source.alarms, table);
    problem = table;
  } catch (e) {
    problem = (e as Error).message;
  }
  log.error({ table: source.table, error: problem }, 'the compiled MIBs cannot be used: built-in names only');
  return meaningOf(source.alarms);
}

/** A start waits this long at most for MIBs to be compiled; then the names they give come later. */
const MIBS_WAIT_MS = 10_000;

/** The supervisor's side: MIBs and alarm rules as they are in force, told to the workers when either changes. */
export class MeaningHost {
  readonly mibs: Mibs;
  private alarms: AlarmRule[];
  private readonly clock: Clock;
  private readonly tell: (source: MeaningSource) => void;

  constructor(o: { clock: Clock; log: Logger; version: string; alarms: AlarmRule[]; tell: MeaningHost['tell'] }) {
    this.alarms = o.alarms;
    this.clock = o.clock;
    this.tell = o.tell;
    this.mibs = new Mibs({ log: o.log, dir: 'mibs', version: o.version, onTable: () => this.tell(this.source()) });
  }

  source(): MeaningSource {
    return { table: this.mibs.table, alarms: this.alarms };
  }

  /** The first look at the MIBs: workers begin with their names, unless compiling takes too long. */
  first(paths: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.clock.setTimeout(resolve, MIBS_WAIT_MS);
      void this.mibs.load(paths).then(() => {
        this.clock.clearTimeout(timer);
        resolve();
      });
    });
  }

  replaceAlarms(rules: AlarmRule[]): void {
    this.alarms = rules;
    this.tell(this.source());
  }
}
