/** What a changed file means for what runs: taken over at once, or at the next start. */
import { describe, expect, it } from 'vitest';
import { mergeLive, planReload } from '../../src/config/plan.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';

const base = {
  collectors: { snmp_trap: { listen: [{ vip: 'ingress', port: 162 }], communities: [{ name: 'public' }] } },
  lb: {
    vips: [{ name: 'ingress', addresses: ['203.0.113.10/32'] }],
    bgp: { asn: 64512, peers: [{ address: '192.0.2.254', asn: 64500 }] },
  },
};
const parse = (over: object = {}) => configSchema.parse({ ...base, ...over }) as Config;

describe('the plan of a reload', () => {
  it('takes over VIPs and peers at once', () => {
    const wanted = parse({
      lb: {
        ...base.lb,
        rise: '9s',
        vips: [...base.lb.vips, { name: 'more', addresses: ['203.0.113.11/32'] }],
        bgp: { ...base.lb.bgp, peers: [...base.lb.bgp.peers, { address: '192.0.2.253', asn: 64500 }] },
      },
    });
    const plan = planReload(parse(), wanted);
    expect(plan).toEqual({ live: ['lb.vips', 'lb.bgp'], restart: ['lb.rise'] });
    const merged = mergeLive(parse(), wanted);
    expect(merged.lb.vips).toHaveLength(2);
    expect(merged.lb.bgp?.peers).toHaveLength(2);
    expect(merged.lb.rise).toBe(3000);
  });

  it('names the listener of a VIP that has other addresses: its sockets are those of the start', () => {
    const wanted = parse({ lb: { ...base.lb, vips: [{ name: 'ingress', addresses: ['203.0.113.12/32'] }] } });
    expect(planReload(parse(), wanted)).toEqual({ live: ['lb.vips'], restart: ['collectors.snmp_trap.listen'] });
  });
});
