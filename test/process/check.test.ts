/** What `tidegate check` says of who may send. */
import { describe, expect, it } from 'vitest';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { checkHost } from '../../src/process/check.ts';

describe('check', () => {
  const said = async (snmp: object): Promise<[string, string][]> => {
    const config = configSchema.parse({ collectors: { snmp_trap: snmp } }) as Config;
    const found = await checkHost(config, 0, false);
    return found.filter((f) => f.what.includes('snmp_trap')).map((f) => [f.severity, f.what]);
  };
  const users = [{ name: 'noc' }];
  const communities = [{ name: 'public' }];

  it('has nothing against SNMPv3 alone, and warns where nobody can send', async () => {
    expect(await said({ communities })).toEqual([]);
    expect(await said({ communities, users })).toEqual([]);
    expect(await said({ users })).toEqual([
      ['ok', expect.stringMatching(/SNMPv3 alone, 1 users; v1 and v2c are refused/)],
    ]);
    expect(await said({})).toEqual([['note', expect.stringMatching(/no community and no user: every notification/)]]);
  });
});
