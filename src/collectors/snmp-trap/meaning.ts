/** What notifications mean: names and texts from the MIB table, alarms from the rules. Replaced as a whole when either changes. */
import { builtinNaming } from '../../mib/builtin.ts';
import { Names } from '../../mib/names.ts';
import { MibNaming } from '../../mib/naming.ts';
import type { MibTable } from '../../mib/table.ts';
import { Alarms } from './alarm.ts';
import type { AlarmRule } from './alarm-rules.ts';

export interface Meaning {
  naming: MibNaming;
  alarms: Alarms;
}

/** `table`: absent, the built-in facts. */
export function meaningOf(rules: readonly AlarmRule[], table?: MibTable): Meaning {
  const naming = table === undefined ? builtinNaming() : new MibNaming(new Names(table));
  return { naming, alarms: new Alarms(rules, naming.names) };
}
