import { describe, expect, it } from 'vitest';
import { gnmiConfig } from '../../../src/collectors/gnmi/config.ts';

const target = { name: 'r1', address: 'router-1.example:57400', subscriptions: ['s'] };
const subscription = { paths: ['openconfig:/interfaces'] };

function complaint(config: object): string {
  const r = gnmiConfig.safeParse(config);
  return r.success ? 'fine' : r.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ');
}

describe('collectors.gnmi', () => {
  it('has defaults', () => {
    expect(gnmiConfig.parse({})).toEqual({
      targets: [],
      subscriptions: {},
      connect_timeout: 10_000,
      keepalive: 310_000,
      max_message: 16 << 20,
    });
    const c = gnmiConfig.parse({ targets: [target], subscriptions: { s: subscription } });
    expect(c.targets[0].tls).toEqual({ enabled: true, skip_verify: false });
    expect(c.subscriptions.s).toMatchObject({ mode: 'stream', stream_mode: 'target-defined', encoding: 'json' });
    expect(c.subscriptions.s.paths[0]).toMatchObject({ origin: 'openconfig', text: '/interfaces' });
  });

  it.each([
    [{ listen: ['127.0.0.1:57400'] }, 'listen'],
    [{ targets: [{ ...target, address: 'router' }] }, 'targets.0.address: HOST:PORT'],
    [{ targets: [{ ...target, address: 'router:0' }] }, 'a port from 1 to 65535'],
    [{ targets: [target, target] }, 'targets.1.name: a name of its own'],
    [{ targets: [{ ...target, subscriptions: [] }] }, 'targets.0.subscriptions'],
    [{ targets: [{ ...target, subscriptions: ['s', 's'] }] }, 'each subscription once'],
    [{ targets: [{ ...target, password: 'grüße' }] }, 'printable ASCII'],
    [{ subscriptions: { s: { paths: ['/a[b'] } } }, 'a gNMI path such as'],
    [{ subscriptions: { s: { ...subscription, mode: 'once' } } }, 'subscriptions.s.mode'],
    [{ subscriptions: { s: { ...subscription, stream_mode: 'on-change', sample_interval: '5s' } } }, 'no meaning'],
    [{ subscriptions: { s: { ...subscription, sample_interval: 'soon' } } }, 'a duration'],
  ])('%j', (config, words) => {
    expect(complaint(config)).toContain(words);
  });
});
