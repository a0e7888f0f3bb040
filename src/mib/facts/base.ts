/** SMI's own names, RFC 3418, 2863, 3411, 3584, Net-SNMP's own. See ../facts.ts for how these lines read. */
export const BASE_FACTS = `
@SNMPv2-SMI
org iso.3
dod org.6
internet dod.1
directory internet.1
mgmt internet.2
mib-2 mgmt.1
transmission mib-2.10
experimental internet.3
private internet.4
enterprises private.1
security internet.5
snmpV2 internet.6
snmpDomains snmpV2.1
snmpProxys snmpV2.2
snmpModules snmpV2.3
zeroDotZero ccitt.0

@SNMPv2-MIB
system mib-2.1
sysDescr system.1 DisplayString
sysObjectID system.2 OBJECT-IDENTIFIER
sysUpTime system.3 TimeTicks
sysContact system.4 DisplayString
sysName system.5 DisplayString
sysLocation system.6 DisplayString
sysServices system.7 INTEGER
sysORLastChange system.8 TimeStamp
sysORTable system.9 table
sysOREntry sysORTable.1 row(sysORIndex)
sysORIndex sysOREntry.1 INTEGER
sysORID sysOREntry.2 OBJECT-IDENTIFIER
sysORDescr sysOREntry.3 DisplayString
sysORUpTime sysOREntry.4 TimeStamp
snmp mib-2.11
snmpInPkts snmp.1 Counter32
snmpInBadVersions snmp.3 Counter32
snmpInBadCommunityNames snmp.4 Counter32
snmpInBadCommunityUses snmp.5 Counter32
snmpInASNParseErrs snmp.6 Counter32
snmpEnableAuthenTraps snmp.30 {enabled disabled}
snmpSilentDrops snmp.31 Counter32
snmpProxyDrops snmp.32 Counter32
snmpMIB snmpModules.1
snmpMIBObjects snmpMIB.1
snmpTrap snmpMIBObjects.4
snmpTrapOID snmpTrap.1 OBJECT-IDENTIFIER
snmpTrapEnterprise snmpTrap.3 OBJECT-IDENTIFIER
snmpTraps snmpMIBObjects.5
coldStart snmpTraps.1 notify()
warmStart snmpTraps.2 notify()
authenticationFailure snmpTraps.5 notify()
snmpSet snmpMIBObjects.6
snmpSetSerialNo snmpSet.1 TestAndIncr

@RFC1213-MIB
egpNeighborLoss snmpTraps.6 notify(egpNeighAddr)
egp mib-2.8
egpNeighTable egp.5 table
egpNeighEntry egpNeighTable.1 row(egpNeighAddr)
egpNeighState egpNeighEntry.1 {idle acquisition down up cease}
egpNeighAddr egpNeighEntry.2 IpAddress

@SNMP-FRAMEWORK-MIB
snmpFrameworkMIB snmpModules.10
snmpFrameworkMIBObjects snmpFrameworkMIB.2
snmpEngine snmpFrameworkMIBObjects.1
snmpEngineID snmpEngine.1 SnmpEngineID
snmpEngineBoots snmpEngine.2 INTEGER
snmpEngineTime snmpEngine.3 INTEGER
snmpEngineMaxMessageSize snmpEngine.4 INTEGER

@SNMP-VIEW-BASED-ACM-MIB
snmpVacmMIB snmpModules.16
vacmMIBObjects snmpVacmMIB.1
vacmContextTable vacmMIBObjects.1 table
vacmContextEntry vacmContextTable.1 row(vacmContextName)
vacmContextName vacmContextEntry.1 SnmpAdminString
vacmSecurityToGroupTable vacmMIBObjects.2 table
vacmSecurityToGroupEntry vacmSecurityToGroupTable.1 row(vacmSecurityModel vacmSecurityName)
vacmSecurityModel vacmSecurityToGroupEntry.1 SnmpSecurityModel
vacmSecurityName vacmSecurityToGroupEntry.2 SnmpAdminString
vacmGroupName vacmSecurityToGroupEntry.3 SnmpAdminString
vacmAccessTable vacmMIBObjects.4 table
vacmAccessEntry vacmAccessTable.1 row(vacmGroupName vacmAccessContextPrefix vacmAccessSecurityModel vacmAccessSecurityLevel)
vacmAccessContextPrefix vacmAccessEntry.1 SnmpAdminString
vacmAccessSecurityModel vacmAccessEntry.2 SnmpSecurityModel
vacmAccessSecurityLevel vacmAccessEntry.3 SnmpSecurityLevel
vacmAccessContextMatch vacmAccessEntry.4 {exact prefix}
vacmAccessReadViewName vacmAccessEntry.5 SnmpAdminString
vacmAccessWriteViewName vacmAccessEntry.6 SnmpAdminString
vacmAccessNotifyViewName vacmAccessEntry.7 SnmpAdminString

@SNMP-COMMUNITY-MIB
snmpCommunityMIB snmpModules.18
snmpCommunityMIBObjects snmpCommunityMIB.1
snmpTrapAddress snmpCommunityMIBObjects.3 IpAddress
snmpTrapCommunity snmpCommunityMIBObjects.4 OCTET-STRING

@IF-MIB
interfaces mib-2.2
ifNumber interfaces.1 Integer32
ifTable interfaces.2 table
ifEntry ifTable.1 row(ifIndex)
ifIndex ifEntry.1 InterfaceIndex
ifDescr ifEntry.2 DisplayString
ifType ifEntry.3 IANAifType
ifMtu ifEntry.4 Integer32
ifSpeed ifEntry.5 Gauge32
ifPhysAddress ifEntry.6 PhysAddress
ifAdminStatus ifEntry.7 {up down testing}
ifOperStatus ifEntry.8 {up down testing unknown dormant notPresent lowerLayerDown}
ifLastChange ifEntry.9 TimeTicks
ifInOctets ifEntry.10 Counter32
ifInUcastPkts ifEntry.11 Counter32
ifInNUcastPkts ifEntry.12 Counter32
ifInDiscards ifEntry.13 Counter32
ifInErrors ifEntry.14 Counter32
ifInUnknownProtos ifEntry.15 Counter32
ifOutOctets ifEntry.16 Counter32
ifOutUcastPkts ifEntry.17 Counter32
ifOutNUcastPkts ifEntry.18 Counter32
ifOutDiscards ifEntry.19 Counter32
ifOutErrors ifEntry.20 Counter32
ifOutQLen ifEntry.21 Gauge32
ifSpecific ifEntry.22 OBJECT-IDENTIFIER
ifMIB mib-2.31
ifMIBObjects ifMIB.1
ifXTable ifMIBObjects.1 table
ifXEntry ifXTable.1 augments(ifEntry)
ifName ifXEntry.1 DisplayString
ifInMulticastPkts ifXEntry.2 Counter32
ifInBroadcastPkts ifXEntry.3 Counter32
ifOutMulticastPkts ifXEntry.4 Counter32
ifOutBroadcastPkts ifXEntry.5 Counter32
ifHCInOctets ifXEntry.6 Counter64
ifHCInUcastPkts ifXEntry.7 Counter64
ifHCInMulticastPkts ifXEntry.8 Counter64
ifHCInBroadcastPkts ifXEntry.9 Counter64
ifHCOutOctets ifXEntry.10 Counter64
ifHCOutUcastPkts ifXEntry.11 Counter64
ifHCOutMulticastPkts ifXEntry.12 Counter64
ifHCOutBroadcastPkts ifXEntry.13 Counter64
ifLinkUpDownTrapEnable ifXEntry.14 {enabled disabled}
ifHighSpeed ifXEntry.15 Gauge32
ifPromiscuousMode ifXEntry.16 TruthValue
ifConnectorPresent ifXEntry.17 TruthValue
ifAlias ifXEntry.18 DisplayString
ifCounterDiscontinuityTime ifXEntry.19 TimeStamp
linkDown snmpTraps.3 notify(ifIndex ifAdminStatus ifOperStatus)
linkUp snmpTraps.4 notify(ifIndex ifAdminStatus ifOperStatus)

@NET-SNMP-MIB
netSnmp enterprises.8072
netSnmpObjects netSnmp.1
netSnmpEnumerations netSnmp.3
netSnmpNotificationPrefix netSnmp.4
netSnmpNotifications netSnmpNotificationPrefix.0
netSnmpExperimental netSnmp.9999

@NET-SNMP-TC
netSnmpAgentOIDs netSnmpEnumerations.2
linux netSnmpAgentOIDs.10

@NET-SNMP-AGENT-MIB
nsNotifyStart netSnmpNotifications.1 notify()
nsNotifyShutdown netSnmpNotifications.2 notify()
nsNotifyRestart netSnmpNotifications.3 notify()

@NET-SNMP-EXAMPLES-MIB
netSnmpExamples netSnmp.2
netSnmpExampleNotifications netSnmpExamples.3
netSnmpExampleNotificationPrefix netSnmpExampleNotifications.0
netSnmpExampleNotificationObjects netSnmpExampleNotifications.2
netSnmpExampleHeartbeatRate netSnmpExampleNotificationObjects.1 Integer32
netSnmpExampleHeartbeatName netSnmpExampleNotificationObjects.2 SnmpAdminString
netSnmpExampleHeartbeatNotification netSnmpExampleNotificationPrefix.1 notify(netSnmpExampleHeartbeatRate)

@UCD-SNMP-MIB
ucdavis enterprises.2021
`;
