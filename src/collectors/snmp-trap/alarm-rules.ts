/** The rules that make alarms of notifications (ITU-T X.733, X.736), as the rules file has them. */
import { z } from 'zod';

export const SEVERITIES = ['critical', 'major', 'minor', 'warning', 'indeterminate'] as const;

export const EVENT_TYPES = [
  'communicationsAlarm',
  'qualityOfServiceAlarm',
  'processingErrorAlarm',
  'equipmentAlarm',
  'environmentalAlarm',
  // X.736
  'integrityViolation',
  'operationalViolation',
  'physicalViolation',
  'securityServiceOrMechanismViolation',
  'timeDomainViolation',
] as const;

/** X.733 section 8.1.2.1 and X.736 section 8.1.2. */
export const PROBABLE_CAUSES = [
  ...['adapterError', 'applicationSubsystemFailure', 'bandwidthReduced', 'callEstablishmentError'],
  ...['communicationsProtocolError', 'communicationsSubsystemFailure', 'configurationOrCustomizationError'],
  ...['congestion', 'corruptData', 'cpuCyclesLimitExceeded', 'dataSetOrModemError', 'degradedSignal'],
  ...['dteDceInterfaceError', 'enclosureDoorOpen', 'equipmentMalfunction', 'excessiveVibration', 'fileError'],
  ...['fireDetected', 'floodDetected', 'framingError', 'heatingVentCoolingSystemProblem', 'humidityUnacceptable'],
  ...['ioDeviceError', 'inputDeviceError', 'lanError', 'leakDetected', 'localNodeTransmissionError', 'lossOfFrame'],
  ...['lossOfSignal', 'materialSupplyExhausted', 'multiplexerProblem', 'outOfMemory', 'outputDeviceError'],
  ...['performanceDegraded', 'powerProblem', 'pressureUnacceptable', 'processorProblem', 'pumpFailure'],
  ...['queueSizeExceeded', 'receiveFailure', 'receiverFailure', 'remoteNodeTransmissionError'],
  ...['resourceAtOrNearingCapacity', 'responseTimeExcessive', 'retransmissionRateExcessive', 'softwareError'],
  ...['softwareProgramAbnormallyTerminated', 'softwareProgramError', 'storageCapacityProblem'],
  ...['temperatureUnacceptable', 'thresholdCrossed', 'timingProblem', 'toxicLeakDetected', 'transmitFailure'],
  ...['transmitterFailure', 'underlyingResourceUnavailable', 'versionMismatch'],
  ...['authenticationFailure', 'breachOfConfidentiality', 'cableTamper', 'delayedInformation', 'denialOfService'],
  ...['duplicateInformation', 'informationMissing', 'informationModificationDetected', 'informationOutOfSequence'],
  ...['intrusionDetection', 'keyExpired', 'nonRepudiationFailure', 'outOfHoursActivity', 'outOfService'],
  ...['proceduralError', 'unauthorizedAccessAttempt', 'unexpectedInformation', 'unspecifiedReason'],
] as const;

const name = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]*$/, 'the name of an object, such as ifOperStatus');
const word = z.string().regex(/^[a-z][A-Za-z0-9_-]{0,62}$/, 'a word such as link');

const rule = z
  .strictObject({
    on: z
      .array(
        z
          .string()
          .regex(
            /^([0-2](\.\d+)+|([A-Za-z][\w-]*::)?[A-Za-z][\w-]*)$/,
            'a notification: its name, MODULE::name or OID',
          ),
      )
      .min(1),
    when: z.record(name, z.array(z.union([z.string(), z.number()])).min(1)).optional(),
    state: z.enum(['raised', 'cleared', 'event', 'none']),
    kind: word.optional(),
    object: word.optional(),
    instance_of: z.array(name).min(1).optional(),
    value_of: z.array(name).min(1).optional(),
    severity: z.enum(SEVERITIES).optional(),
    event_type: z.enum(EVENT_TYPES).optional(),
    probable_cause: z.enum(PROBABLE_CAUSES).optional(),
  })
  .superRefine((r, ctx) => {
    const need = r.state === 'none' ? [] : (['kind', 'event_type', 'probable_cause'] as const);
    for (const key of need)
      if (r[key] === undefined) ctx.addIssue({ code: 'custom', path: [], message: `a rule with ${key}` });
    if ((r.state === 'raised' || r.state === 'event') && r.severity === undefined)
      ctx.addIssue({ code: 'custom', path: [], message: 'a rule with severity' });
    if (r.instance_of !== undefined && r.value_of !== undefined)
      ctx.addIssue({ code: 'custom', path: ['value_of'], message: 'left out where instance_of stands' });
    if (r.state === 'cleared' && r.severity !== undefined)
      ctx.addIssue({
        code: 'custom',
        path: ['severity'],
        message: 'left out: a cleared alarm has the severity cleared',
      });
  });

export const alarmFile = z.strictObject({
  builtin: z.boolean().default(true),
  rules: z.array(rule).default([]),
});

export type AlarmRule = z.output<typeof rule>;
export type AlarmFile = z.output<typeof alarmFile>;
