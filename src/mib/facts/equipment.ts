/** ENTITY-MIB (RFC 6933), sensors and states (RFC 3433, 4268), bridges (RFC 4188, 4318), RMON (RFC 2819), events (RFC 2981), UPS (RFC 1628), LLDP (IEEE 802.1AB). */
export const EQUIPMENT_FACTS = `
@ENTITY-MIB
type PhysicalClass {other unknown chassis backplane container powerSupply fan sensor module port stack cpu energyObject battery storageDrive}
entityMIB mib-2.47
entityMIBObjects entityMIB.1
entityPhysical entityMIBObjects.1
entPhysicalTable entityPhysical.1 table
entPhysicalEntry entPhysicalTable.1 row(entPhysicalIndex)
entPhysicalIndex entPhysicalEntry.1 PhysicalIndex
entPhysicalDescr entPhysicalEntry.2 SnmpAdminString
entPhysicalVendorType entPhysicalEntry.3 AutonomousType
entPhysicalContainedIn entPhysicalEntry.4 INTEGER
entPhysicalClass entPhysicalEntry.5 PhysicalClass
entPhysicalParentRelPos entPhysicalEntry.6 Integer32
entPhysicalName entPhysicalEntry.7 SnmpAdminString
entPhysicalHardwareRev entPhysicalEntry.8 SnmpAdminString
entPhysicalFirmwareRev entPhysicalEntry.9 SnmpAdminString
entPhysicalSoftwareRev entPhysicalEntry.10 SnmpAdminString
entPhysicalSerialNum entPhysicalEntry.11 SnmpAdminString
entPhysicalMfgName entPhysicalEntry.12 SnmpAdminString
entPhysicalModelName entPhysicalEntry.13 SnmpAdminString
entPhysicalAlias entPhysicalEntry.14 SnmpAdminString
entPhysicalAssetID entPhysicalEntry.15 SnmpAdminString
entPhysicalIsFRU entPhysicalEntry.16 TruthValue
entPhysicalMfgDate entPhysicalEntry.17 DateAndTime
entityGeneral entityMIBObjects.4
entLastChangeTime entityGeneral.1 TimeStamp
entityMIBTraps entityMIB.2
entityMIBTrapPrefix entityMIBTraps.0
entConfigChange entityMIBTrapPrefix.1 notify()

@ENTITY-SENSOR-MIB
type EntitySensorDataType {other unknown voltsAC voltsDC amperes watts hertz celsius percentRH rpm cmm truthvalue}
entitySensorMIB mib-2.99
entitySensorObjects entitySensorMIB.1
entPhySensorTable entitySensorObjects.1 table
entPhySensorEntry entPhySensorTable.1 augments(entPhysicalEntry)
entPhySensorType entPhySensorEntry.1 EntitySensorDataType
entPhySensorScale entPhySensorEntry.2 {yocto zepto atto femto pico nano micro milli units kilo mega giga tera exa peta zetta yotta}
entPhySensorPrecision entPhySensorEntry.3 Integer32
entPhySensorValue entPhySensorEntry.4 Integer32
entPhySensorOperStatus entPhySensorEntry.5 {ok unavailable nonoperational}
entPhySensorUnitsDisplay entPhySensorEntry.6 SnmpAdminString
entPhySensorValueTimeStamp entPhySensorEntry.7 TimeStamp

@ENTITY-STATE-MIB
entityStateMIB mib-2.131
entStateNotifications entityStateMIB.0
entStateObjects entityStateMIB.1
entStateTable entStateObjects.1 table
entStateEntry entStateTable.1 augments(entPhysicalEntry)
entStateLastChanged entStateEntry.1 DateAndTime
entStateAdmin entStateEntry.2 {unknown locked shuttingDown unlocked}
entStateOper entStateEntry.3 {unknown disabled enabled testing}
entStateUsage entStateEntry.4 {unknown idle active busy}
entStateAlarm entStateEntry.5 bits{unknown underRepair critical major minor warning indeterminate}
entStateStandby entStateEntry.6 {unknown hotStandby coldStandby providingService}
entStateOperEnabled entStateNotifications.1 notify(entStateAdmin entStateAlarm)
entStateOperDisabled entStateNotifications.2 notify(entStateAdmin entStateAlarm)

@BRIDGE-MIB
dot1dBridge mib-2.17
dot1dNotifications dot1dBridge.0
dot1dBase dot1dBridge.1
dot1dBaseBridgeAddress dot1dBase.1 MacAddress
dot1dBaseNumPorts dot1dBase.2 Integer32
dot1dBaseType dot1dBase.3 {unknown transparent-only sourceroute-only srt}
dot1dBasePortTable dot1dBase.4 table
dot1dBasePortEntry dot1dBasePortTable.1 row(dot1dBasePort)
dot1dBasePort dot1dBasePortEntry.1 Integer32
dot1dBasePortIfIndex dot1dBasePortEntry.2 InterfaceIndex
dot1dStp dot1dBridge.2
dot1dStpProtocolSpecification dot1dStp.1 {unknown decLb100 ieee8021d}
dot1dStpPriority dot1dStp.2 Integer32
dot1dStpTimeSinceTopologyChange dot1dStp.3 TimeTicks
dot1dStpTopChanges dot1dStp.4 Counter32
dot1dStpDesignatedRoot dot1dStp.5 BridgeId
dot1dStpRootCost dot1dStp.6 Integer32
dot1dStpRootPort dot1dStp.7 Integer32
dot1dStpPortTable dot1dStp.15 table
dot1dStpPortEntry dot1dStpPortTable.1 row(dot1dStpPort)
dot1dStpPort dot1dStpPortEntry.1 Integer32
dot1dStpPortPriority dot1dStpPortEntry.2 Integer32
dot1dStpPortState dot1dStpPortEntry.3 {disabled blocking listening learning forwarding broken}
dot1dTp dot1dBridge.4
newRoot dot1dNotifications.1 notify()
topologyChange dot1dNotifications.2 notify()

@RSTP-MIB
rstpMIB mib-2.134
dot1dStpVersion dot1dStp.16 {stpCompatible(0) rstp(2)}
dot1dStpTxHoldCount dot1dStp.17 Integer32

@RMON-MIB
rmon mib-2.16
rmonEventsV2 rmon.0
alarm rmon.3
alarmTable alarm.1 table
alarmEntry alarmTable.1 row(alarmIndex)
alarmIndex alarmEntry.1 Integer32
alarmInterval alarmEntry.2 Integer32
alarmVariable alarmEntry.3 OBJECT-IDENTIFIER
alarmSampleType alarmEntry.4 {absoluteValue deltaValue}
alarmValue alarmEntry.5 Integer32
alarmStartupAlarm alarmEntry.6 {risingAlarm fallingAlarm risingOrFallingAlarm}
alarmRisingThreshold alarmEntry.7 Integer32
alarmFallingThreshold alarmEntry.8 Integer32
risingAlarm rmonEventsV2.1 notify(alarmIndex alarmVariable alarmSampleType alarmValue alarmRisingThreshold)
fallingAlarm rmonEventsV2.2 notify(alarmIndex alarmVariable alarmSampleType alarmValue alarmFallingThreshold)

@DISMAN-EVENT-MIB
dismanEventMIB mib-2.88
dismanEventMIBNotificationPrefix dismanEventMIB.2
dismanEventMIBNotifications dismanEventMIBNotificationPrefix.0
dismanEventMIBNotificationObjects dismanEventMIBNotificationPrefix.1
mteHotTrigger dismanEventMIBNotificationObjects.1 SnmpAdminString
mteHotTargetName dismanEventMIBNotificationObjects.2 SnmpAdminString
mteHotContextName dismanEventMIBNotificationObjects.3 SnmpAdminString
mteHotOID dismanEventMIBNotificationObjects.4 OBJECT-IDENTIFIER
mteHotValue dismanEventMIBNotificationObjects.5 Integer32
mteFailedReason dismanEventMIBNotificationObjects.6 INTEGER
mteTriggerFired dismanEventMIBNotifications.1 notify(mteHotTrigger mteHotTargetName mteHotContextName mteHotOID mteHotValue)
mteTriggerRising dismanEventMIBNotifications.2 notify(mteHotTrigger mteHotTargetName mteHotContextName mteHotOID mteHotValue)
mteTriggerFalling dismanEventMIBNotifications.3 notify(mteHotTrigger mteHotTargetName mteHotContextName mteHotOID mteHotValue)
mteTriggerFailure dismanEventMIBNotifications.4 notify(mteHotTrigger mteHotTargetName mteHotContextName mteHotOID mteFailedReason)
mteEventSetFailure dismanEventMIBNotifications.5 notify(mteHotTrigger mteHotTargetName mteHotContextName mteHotOID mteFailedReason)

@UPS-MIB
upsMIB mib-2.33
upsObjects upsMIB.1
upsAlarm upsObjects.6
upsAlarmsPresent upsAlarm.1 Gauge32
upsAlarmTable upsAlarm.2 table
upsAlarmEntry upsAlarmTable.1 row(upsAlarmId)
upsAlarmId upsAlarmEntry.1 Integer32
upsAlarmDescr upsAlarmEntry.2 AutonomousType
upsAlarmTime upsAlarmEntry.3 TimeStamp
upsTraps upsMIB.2
upsTrapOnBattery upsTraps.1 notify()
upsTrapTestCompleted upsTraps.2 notify()
upsTrapAlarmEntryAdded upsTraps.3 notify(upsAlarmId upsAlarmDescr)
upsTrapAlarmEntryRemoved upsTraps.4 notify(upsAlarmId upsAlarmDescr)

@LLDP-MIB
lldpMIB iso.0.8802.1.1.2
lldpNotifications lldpMIB.0
lldpNotificationPrefix lldpNotifications.0
lldpRemTablesChange lldpNotificationPrefix.1 notify()
`;
