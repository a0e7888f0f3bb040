/** What a changed file means for what runs: taken over at once, or at the next start. */
import { describe, expect, it } from 'vitest';
import { mergeLive, mergeLiveDocument, planReload } from '../../src/config/plan.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';

const base = {
  collectors: { snmp_trap: { listen: [{ vip: 'ingress', port: 162 }], communities: [{ name: 'public' }] } },
  lb: {
    vips: [{ name: 'ingress', addresses: ['203.0.113.10/32'] }],
    bgp: { asn: 64512, peers: [{ address: '192.0.2.254', asn: 64500 }] },
  },
};
const parse = (over: object = {}) => configSchema.parse({ ...base, ...over }) as Config;

describe('credentials of Kafka', () => {
  const kafka = (sasl: object) =>
    configSchema.parse({ collectors: {}, export: { kafka: { brokers: ['b:9092'], sasl } } }) as unknown as Config;
  const old = { mechanism: 'plain', username: 'u', password: 'old' };

  it('are taken over live, the mechanism is not', () => {
    const [before, after] = [kafka(old), kafka({ ...old, password: 'new' })];
    expect(planReload(before, after)).toEqual({ live: ['export.exporters.kafka.sasl.password'], restart: [] });
    expect(mergeLive(before, after)).toEqual(after);
    const other = kafka({ mechanism: 'scram-sha-512', username: 'u', password: 'new' });
    expect(planReload(before, other).live).toEqual([]);
    expect(mergeLive(before, other)).toEqual(before);
    const document = (password: string) => ({ export: { kafka: { sasl: { password } } } });
    expect(mergeLiveDocument(document('a'), document('b'), before, after)).toEqual(document('b'));
  });
});

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

  it('takes over the addresses of a VIP that a listener names, and listeners', () => {
    const lb = { ...base.lb, vips: [{ name: 'ingress', addresses: ['203.0.113.12/32'] }] };
    expect(planReload(parse(), parse({ lb }))).toEqual({ live: ['lb.vips'], restart: [] });
    const snmp_trap = { ...base.collectors.snmp_trap, listen: [{ vip: 'ingress', port: 1162 }] };
    const wanted = parse({ collectors: { snmp_trap } });
    expect(planReload(parse(), wanted)).toEqual({ live: ['collectors.snmp_trap.listen'], restart: [] });
    expect(mergeLive(parse(), wanted).collectors.snmp_trap?.listen).toEqual([{ vip: 'ingress', port: 1162 }]);
  });

  it('leaves a collector that does not run, and listeners of another device, to the restart', () => {
    const bmp = { listen: [{ vip: 'ingress', port: 11019 }] };
    const more = parse({ collectors: { ...base.collectors, bmp } });
    expect(planReload(parse(), more)).toEqual({ live: [], restart: ['collectors.bmp'] });
    expect(mergeLive(parse(), more).collectors.bmp).toBeUndefined();
    const listen = [...base.collectors.snmp_trap.listen, { vip: 'ingress', port: 1162, network: 'mgmt' }];
    const wanted = parse({
      networks: { mgmt: { device: 'vrf-a' } },
      collectors: { snmp_trap: { ...base.collectors.snmp_trap, listen } },
    });
    expect(planReload(parse(), wanted).restart).toContain('collectors.snmp_trap.listen');
    expect(mergeLive(parse(), wanted).collectors.snmp_trap?.listen).toEqual(base.collectors.snmp_trap.listen);
  });

  it('what runs takes exactly what the plan calls live, of every section', () => {
    const before = parse();
    const wanted = parse({
      ...{ site: 'x', node: 'y', workers: 3, log: { level: 'debug' }, networks: { mgmt: { device: 'eth9' } } },
      spool: { max_bytes: '1GiB' },
      mibs: { paths: ['/mibs'] },
      alarms: { file: '/alarms.yaml' },
      inventory: { file: '/devices.yaml' },
      cluster: { members: ['192.0.2.1', '192.0.2.2'], secret: 'sixteen characters' },
      admin: { listen: '127.0.0.1:1' },
      export: { stdout: { enabled: false } },
      collectors: {
        ...{ bmp: { max_sessions: 5 }, bgp: { asn: 64512, peers: [] }, gnmi: {} },
        snmp_trap: {
          listen: ['127.0.0.1:162'],
          ...{ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'], trusted_relays: ['10.2.0.0/16'] },
          ...{ rate_limit: { total: 5 }, dedup: {}, new_engines: { cache: 100 } },
        },
      },
      lb: {
        ...{ interface: 'dummy0', rise: '9s', lease: { interval: '100ms' }, drain: { linger: '2s' }, l2: {} },
        vips: [{ name: 'more', addresses: ['203.0.113.11/32'] }],
        vrrp: [{ vrid: 1, interface: 'eth0', vips: ['more'] }],
        bgp: { asn: 64513, peers: [] },
      },
    });
    const plan = planReload(before, wanted);
    expect(plan.live.length).toBeGreaterThan(10);
    const merged = mergeLive(before, wanted);
    expect(planReload(before, merged)).toEqual({ live: plan.live, restart: [] });
    const left = planReload(merged, wanted);
    expect(left.live).toEqual([]);
    expect(left.restart.sort()).toEqual(plan.restart.sort());
  });

  it('does not dial a peer through a VRF that the start did not know', () => {
    const withNetworks = (networks: object, peer: object) =>
      parse({
        networks,
        lb: { ...base.lb, bgp: { asn: 64512, peers: [{ address: '192.0.2.254', asn: 64500, ...peer }] } },
      });
    const before = withNetworks({ mgmt: { device: 'vrf-a' } }, {});
    const elsewhere = withNetworks({ mgmt: { device: 'vrf-a' }, core: { device: 'vrf-b' } }, { network: 'core' });
    expect(planReload(before, elsewhere)).toEqual({
      live: [],
      restart: ['networks.core', expect.stringMatching(/^lb\.bgp/)],
    });
    expect(mergeLive(before, elsewhere)).toEqual(before);
    const known = withNetworks({ mgmt: { device: 'vrf-a' } }, { network: 'mgmt' });
    expect(planReload(before, known)).toEqual({ live: ['lb.bgp'], restart: [] });
    expect(mergeLive(before, known)).toEqual(known);
  });
});
