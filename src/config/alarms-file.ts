/** The alarm rules: an operator's file, and behind it the built-in one. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type AlarmRule, alarmFile } from '../collectors/snmp-trap/alarm-rules.ts';
import { type ConfigProblem, parseYaml, problemsOf } from './yaml.ts';

const BUILTIN = fileURLToPath(new URL('../collectors/snmp-trap/alarms.yaml', import.meta.url));

/** Rules in the order in which they are tried. `file`: absent, the built-in ones alone. */
export function loadAlarms(file: string | undefined): { rules: AlarmRule[]; problems: ConfigProblem[] } {
  if (file === undefined) return read(BUILTIN);
  const own = read(file);
  if (own.problems.length > 0 || !own.builtin) return own;
  return { rules: [...own.rules, ...read(BUILTIN).rules], problems: [] };
}

function read(file: string): { rules: AlarmRule[]; builtin: boolean; problems: ConfigProblem[] } {
  const refused = (problems: ConfigProblem[]): ReturnType<typeof read> => ({ rules: [], builtin: false, problems });
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (e) {
    return refused([{ file, line: 0, path: '', message: `cannot be read: ${(e as Error).message}` }]);
  }
  const doc = parseYaml(file, text);
  if (doc.problems.length) return refused(doc.problems);
  const parsed = alarmFile.safeParse(doc.value ?? {});
  if (!parsed.success) return refused(problemsOf(doc, parsed.error, alarmFile));
  return { rules: parsed.data.rules, builtin: parsed.data.builtin, problems: [] };
}
