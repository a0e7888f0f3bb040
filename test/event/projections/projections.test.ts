/** Golden files of each projection of snmp.trap.v1, over all SMI types, versions and both kinds of PDU. */
import { describe, expect, it } from 'vitest';
import { FORMATS, lineOf, type Projection, project } from '../../../src/event/projections/index.ts';
import { genericOf, octetsOf } from '../../../src/event/projections/trap.ts';
import { copyEvent } from '../../../src/event/record.ts';
import { dataOf, EVERY_TYPE, NSEC, recordOf, SAMPLES, SEC } from './samples.ts';

const made = (format: Projection, name: string): string =>
  project(format, recordOf(dataOf(SAMPLES[name])), SEC, NSEC) ?? '';

const pretty = (json: string): string => `${JSON.stringify(JSON.parse(json), null, 1)}\n`;

describe('projections of snmp.trap.v1', () => {
  for (const name of Object.keys(SAMPLES)) {
    for (const format of ['onap', 'telegraf', 'otel'] as const)
      it(`${format} of ${name} is as in its golden file`, async () => {
        await expect(pretty(made(format, name))).toMatchFileSnapshot(`golden/${name}.${format}.json`);
      });
    it(`snmptrapd of ${name} is as in its golden file`, async () => {
      await expect(`${made('snmptrapd', name)}\n`).toMatchFileSnapshot(`golden/${name}.snmptrapd.txt`);
    });
  }

  it('an event that is no notification has a form as CloudEvent alone', () => {
    const r = recordOf({ kind: 'gap' }, 'system.v1');
    for (const f of FORMATS) expect(lineOf(f, r, SEC, NSEC, 'n') === undefined).toBe(f !== 'cloudevents');
  });

  it('a value that is no JSON has no form, and does not throw', () => {
    const r = recordOf('x');
    expect(project('onap', { ...r, value: Buffer.from('{') }, SEC, NSEC)).toBeUndefined();
    expect(project('telegraf', recordOf({}), SEC, NSEC)).toBeUndefined();
  });

  it('64-bit numbers keep every digit', () => {
    expect(made('telegraf', 'every-type')).toContain(':18446744073709551615');
    expect(made('otel', 'every-type')).toContain('{"key":"value","value":{"stringValue":"18446744073709551615"}}');
  });

  it('a repeated delivery is equal, another event is not', () => {
    const r = recordOf(dataOf(SAMPLES.v3));
    expect(project('onap', r, SEC, NSEC)).toBe(project('onap', copyEvent(r), SEC, NSEC));
    expect(project('onap', { ...copyEvent(r), id: 'other' }, SEC, NSEC)).not.toBe(project('onap', r, SEC, NSEC));
  });

  it('octets come back from the text of an event as they were', () => {
    const data = dataOf(SAMPLES['every-type']) as { varbinds: { oid: string; type: string; value?: string }[] };
    for (const [i, v] of EVERY_TYPE.entries()) {
      if (v.type !== 'octet-string' && v.type !== 'opaque') continue;
      expect(octetsOf(data.varbinds[i].value), v.oid).toEqual(Buffer.from(v.value as string));
    }
  });

  it('takes a notification apart as RFC 3584 section 3.2 says', () => {
    expect(genericOf({ trap_oid: '1.3.6.1.6.3.1.1.5.4' })).toEqual({
      generic: 3,
      specific: 0,
      enterprise: '1.3.6.1.6.3.1.1.5',
    });
    expect(genericOf({ trap_oid: '1.3.6.1.6.3.1.1.5.1', enterprise_oid: '1.3.6.1.4.1.9' }).enterprise).toBe(
      '1.3.6.1.4.1.9',
    );
    expect(genericOf({ trap_oid: '1.3.6.1.4.1.9.0.5' })).toEqual({
      generic: 6,
      specific: 5,
      enterprise: '1.3.6.1.4.1.9',
    });
    expect(genericOf({ trap_oid: '1.3.6.1.4.1.9.7.5' })).toEqual({
      generic: 6,
      specific: 5,
      enterprise: '1.3.6.1.4.1.9.7',
    });
  });
});
