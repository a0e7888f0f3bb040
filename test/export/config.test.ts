import { describe, expect, it } from 'vitest';
import { exportConfig } from '../../src/export/config.ts';
import { parseBroker } from '../../src/export/kafka/client.ts';
import { topicOf } from '../../src/export/kafka/config.ts';

const problems = (c: unknown) => {
  const r = exportConfig.safeParse(c);
  return r.success ? [] : r.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`);
};

describe('export configuration', () => {
  it('shows events where nothing is configured, and does not where something is', () => {
    expect(exportConfig.parse({})).toEqual({
      flush_timeout: 20_000,
      exporters: { stdout: { type: 'stdout', enabled: true } },
    });
    expect(Object.keys(exportConfig.parse({ kafka: { brokers: ['a'] } }).exporters)).toEqual(['kafka']);
  });

  it('takes the type from the name, or from `type`', () => {
    const c = exportConfig.parse({ stdout: null, backbone: { type: 'kafka', brokers: ['[2001:db8::1]:9093'] } });
    expect(c.exporters).toMatchObject({
      stdout: { enabled: true },
      backbone: { type: 'kafka', client: 'platformatic' },
    });
    expect(problems({ backbone: { brokers: ['a'] } })).toEqual([
      'backbone.type: an exporter: kafka, stdout, file, relay, or another name with `type:` one of them',
    ]);
  });

  it.each([
    [{ kafka: {} }, 'kafka.brokers'],
    [{ kafka: { brokers: [] } }, 'kafka.brokers'],
    [{ kafka: { brokers: ['http://a:1'] } }, 'HOST:PORT'],
    [{ kafka: { brokers: ['a'], sasl: { mechanism: 'plain' } } }, 'username and password'],
    [{ kafka: { brokers: ['a'], sasl: { mechanism: 'oauthbearer' } } }, 'token or token_file'],
    [{ kafka: { brokers: ['a'], tls: { cert: 'x' } } }, 'cert and key together'],
    [{ kafka: { brokers: ['a'], topics: { 'snmp.trap.v1': 'a b' } } }, 'a topic name'],
    [{ kafka: { brokers: ['a'], compresion: 'zstd' } }, 'compresion'],
    [{ kafka: { brokers: ['a'] }, second: { type: 'kafka', brokers: ['b'] } }, 'one exporter of type kafka'],
  ])('refuses %j', (c, why) => {
    expect(problems(c).join('\n')).toContain(why);
  });

  it('names topics by prefix and override', () => {
    const { kafka } = exportConfig.parse({
      kafka: { brokers: ['a'], topic_prefix: 'noc', topics: { 'snmp.trap.v1': 'alarms' } },
    }).exporters;
    if (kafka.type !== 'kafka') throw new Error('kafka');
    expect(topicOf(kafka, 'snmp.trap.v1')).toBe('alarms');
    expect(topicOf(kafka, 'bmp.peer.v1')).toBe('noc.bmp.peer.v1');
  });

  it('reads brokers', () => {
    expect(parseBroker('kafka-1.example:9093')).toEqual({ host: 'kafka-1.example', port: 9093 });
    expect(parseBroker('[2001:db8::1]:9093')).toEqual({ host: '2001:db8::1', port: 9093 });
    expect(parseBroker('10.0.0.1')).toEqual({ host: '10.0.0.1', port: 9092 });
    for (const bad of ['', 'a:b', '2001:db8::1:9092', 'a:70000', 'a b:1', 'kafka://a:1'])
      expect(parseBroker(bad)).toBeUndefined();
  });
});
