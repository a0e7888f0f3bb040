/** Users told as changes: whenever a worker began, it has the users that the others have. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { applyUsers, changedUsers, userKey, withoutUsers } from '../../src/process/user-changes.ts';

const ENGINE = '80001f880411223344';
const config = (users: object[], more: object = {}): Config =>
  configSchema.parse({ node: 'n', collectors: { snmp_trap: { users, ...more } } }) as Config;
const users = (c: Config) => c.collectors.snmp_trap!.users;
/** Over a channel nothing stays the same object. */
const sent = <T>(x: T): T => JSON.parse(JSON.stringify(x)) as T;
const byName = (c: Config) => [...users(c)].sort((a, b) => userKey(a).localeCompare(userKey(b)));

describe('changes of users', () => {
  it('are those that are new, other or gone; nothing else is told', () => {
    const before = config([{ name: 'a' }, { name: 'b' }, { name: 'c' }, { name: 'c', engine_id: ENGINE }]);
    const [a, b] = users(before);
    const after = config([], { ack: 'spool' });
    after.collectors.snmp_trap!.users = [a, { ...b, timeliness: 'off' }, { name: 'd' }, { ...users(before)[3] }];
    const changes = changedUsers(before, after);
    expect(changes.set.map((u) => u.name)).toEqual(['b', 'd', 'c']);
    expect(changes.gone).toEqual([' c']);
    expect(users(withoutUsers(after))).toEqual([]);
    const applied = applyUsers(sent(before), sent(withoutUsers(after)), sent(changes));
    expect(byName(applied)).toEqual(byName(after));
    expect(applied.collectors.snmp_trap!.ack).toBe('spool');
  });

  it('that did not happen leave each user the object it was', () => {
    const running = config([{ name: 'a' }, { name: 'b' }]);
    const next = applyUsers(running, withoutUsers(config([])), { set: [{ name: 'c' }], gone: [] });
    expect(
      users(next)
        .slice(0, 2)
        .every((u, i) => u === users(running)[i]),
    ).toBe(true);
  });

  it('without the collector are none', () => {
    const none = configSchema.parse({ collectors: { bmp: {} } }) as Config;
    expect(changedUsers(none, none)).toEqual({ set: [], gone: [] });
    expect(applyUsers(none, none, { set: [], gone: [] })).toEqual(none);
  });

  it('end in what is in force, for every worker, whenever it began', () => {
    const table = fc.dictionary(
      fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      fc.constantFrom('strict', 'monotonic', 'off'),
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(table, fc.constant('fork' as const)), { maxLength: 12 }), (steps) => {
        let told = config([]);
        const workers: Config[] = [];
        for (const step of steps) {
          if (step === 'fork') {
            workers.push(sent(told));
            continue;
          }
          const next = config([]);
          next.collectors.snmp_trap!.users = Object.entries(step).map(
            ([name, timeliness]) =>
              users(told).find((u) => u.name === name && u.timeliness === timeliness) ?? { name, timeliness },
          );
          const message = sent({ config: withoutUsers(next), users: changedUsers(told, next) });
          told = next;
          for (const [i, w] of workers.entries()) workers[i] = applyUsers(w, message.config, message.users);
        }
        for (const w of workers) expect(byName(w)).toEqual(byName(told));
      }),
    );
  });
});
