/** BGP4-MIB (RFC 4273), OSPF-MIB and OSPF-TRAP-MIB (RFC 4750), ISIS-MIB (RFC 4444), BFD-STD-MIB (RFC 7331), VRRP (RFC 2787), MPLS (RFC 3812, 3815, 4382). */
export const ROUTING_FACTS = `
@BGP4-MIB
bgp mib-2.15
bgpNotification bgp.0
bgpVersion bgp.1 OCTET-STRING
bgpLocalAs bgp.2 Integer32
bgpPeerTable bgp.3 table
bgpPeerEntry bgpPeerTable.1 row(bgpPeerRemoteAddr)
bgpPeerIdentifier bgpPeerEntry.1 IpAddress
bgpPeerState bgpPeerEntry.2 {idle connect active opensent openconfirm established}
bgpPeerAdminStatus bgpPeerEntry.3 {stop start}
bgpPeerNegotiatedVersion bgpPeerEntry.4 Integer32
bgpPeerLocalAddr bgpPeerEntry.5 IpAddress
bgpPeerLocalPort bgpPeerEntry.6 Integer32
bgpPeerRemoteAddr bgpPeerEntry.7 IpAddress
bgpPeerRemotePort bgpPeerEntry.8 Integer32
bgpPeerRemoteAs bgpPeerEntry.9 Integer32
bgpPeerInUpdates bgpPeerEntry.10 Counter32
bgpPeerOutUpdates bgpPeerEntry.11 Counter32
bgpPeerInTotalMessages bgpPeerEntry.12 Counter32
bgpPeerOutTotalMessages bgpPeerEntry.13 Counter32
bgpPeerLastError bgpPeerEntry.14 OCTET-STRING(2)
bgpPeerFsmEstablishedTransitions bgpPeerEntry.15 Counter32
bgpPeerFsmEstablishedTime bgpPeerEntry.16 Gauge32
bgpPeerConnectRetryInterval bgpPeerEntry.17 Integer32
bgpPeerHoldTime bgpPeerEntry.18 Integer32
bgpPeerKeepAlive bgpPeerEntry.19 Integer32
bgpPeerHoldTimeConfigured bgpPeerEntry.20 Integer32
bgpPeerKeepAliveConfigured bgpPeerEntry.21 Integer32
bgpPeerMinASOriginationInterval bgpPeerEntry.22 Integer32
bgpPeerMinRouteAdvertisementInterval bgpPeerEntry.23 Integer32
bgpPeerInUpdateElapsedTime bgpPeerEntry.24 Gauge32
bgpIdentifier bgp.4 IpAddress
bgpTraps bgp.7
bgpEstablishedNotification bgpNotification.1 notify(bgpPeerRemoteAddr bgpPeerLastError bgpPeerState)
bgpBackwardTransNotification bgpNotification.2 notify(bgpPeerRemoteAddr bgpPeerLastError bgpPeerState)
bgpEstablished bgpTraps.1 notify(bgpPeerLastError bgpPeerState)
bgpBackwardTransition bgpTraps.2 notify(bgpPeerLastError bgpPeerState)

@OSPF-MIB
type AreaID IpAddress
type RouterID IpAddress
ospf mib-2.14
ospfGeneralGroup ospf.1
ospfRouterId ospfGeneralGroup.1 RouterID
ospfAdminStat ospfGeneralGroup.2 {enabled disabled}
ospfExtLsdbLimit ospfGeneralGroup.11 Integer32
ospfAreaTable ospf.2 table
ospfAreaEntry ospfAreaTable.1 row(ospfAreaId)
ospfAreaId ospfAreaEntry.1 AreaID
ospfLsdbTable ospf.4 table
ospfLsdbEntry ospfLsdbTable.1 row(ospfLsdbAreaId ospfLsdbType ospfLsdbLsid ospfLsdbRouterId)
ospfLsdbAreaId ospfLsdbEntry.1 AreaID
ospfLsdbType ospfLsdbEntry.2 {routerLink(1) networkLink(2) summaryLink(3) asSummaryLink(4) asExternalLink(5) multicastLink(6) nssaExternalLink(7) areaOpaqueLink(10)}
ospfLsdbLsid ospfLsdbEntry.3 IpAddress
ospfLsdbRouterId ospfLsdbEntry.4 RouterID
ospfIfTable ospf.7 table
ospfIfEntry ospfIfTable.1 row(ospfIfIpAddress ospfAddressLessIf)
ospfIfIpAddress ospfIfEntry.1 IpAddress
ospfAddressLessIf ospfIfEntry.2 Integer32
ospfIfAreaId ospfIfEntry.3 AreaID
ospfIfType ospfIfEntry.4 {broadcast(1) nbma(2) pointToPoint(3) pointToMultipoint(5)}
ospfIfAdminStat ospfIfEntry.5 {enabled disabled}
ospfIfState ospfIfEntry.12 {down loopback waiting pointToPoint designatedRouter backupDesignatedRouter otherDesignatedRouter}
ospfVirtIfTable ospf.9 table
ospfVirtIfEntry ospfVirtIfTable.1 row(ospfVirtIfAreaId ospfVirtIfNeighbor)
ospfVirtIfAreaId ospfVirtIfEntry.1 AreaID
ospfVirtIfNeighbor ospfVirtIfEntry.2 RouterID
ospfVirtIfState ospfVirtIfEntry.7 {down(1) pointToPoint(4)}
ospfNbrTable ospf.10 table
ospfNbrEntry ospfNbrTable.1 row(ospfNbrIpAddr ospfNbrAddressLessIndex)
ospfNbrIpAddr ospfNbrEntry.1 IpAddress
ospfNbrAddressLessIndex ospfNbrEntry.2 Integer32
ospfNbrRtrId ospfNbrEntry.3 RouterID
ospfNbrOptions ospfNbrEntry.4 Integer32
ospfNbrPriority ospfNbrEntry.5 Integer32
ospfNbrState ospfNbrEntry.6 {down attempt init twoWay exchangeStart exchange loading full}
ospfVirtNbrTable ospf.11 table
ospfVirtNbrEntry ospfVirtNbrTable.1 row(ospfVirtNbrArea ospfVirtNbrRtrId)
ospfVirtNbrArea ospfVirtNbrEntry.1 AreaID
ospfVirtNbrRtrId ospfVirtNbrEntry.2 RouterID
ospfVirtNbrIpAddr ospfVirtNbrEntry.3 IpAddress
ospfVirtNbrOptions ospfVirtNbrEntry.4 Integer32
ospfVirtNbrState ospfVirtNbrEntry.5 {down attempt init twoWay exchangeStart exchange loading full}

@OSPF-TRAP-MIB
ospfTrap ospf.16
ospfTrapControl ospfTrap.1
ospfTraps ospfTrap.2
ospfSetTrap ospfTrapControl.1 OCTET-STRING(4)
ospfConfigErrorType ospfTrapControl.2 {badVersion areaMismatch unknownNbmaNbr unknownVirtualNbr authTypeMismatch authFailure netMaskMismatch helloIntervalMismatch deadIntervalMismatch optionMismatch mtuMismatch duplicateRouterId noError}
ospfPacketType ospfTrapControl.3 {hello dbDescript lsReq lsUpdate lsAck nullPacket}
ospfPacketSrc ospfTrapControl.4 IpAddress
ospfVirtIfStateChange ospfTraps.1 notify(ospfRouterId ospfVirtIfAreaId ospfVirtIfNeighbor ospfVirtIfState)
ospfNbrStateChange ospfTraps.2 notify(ospfRouterId ospfNbrIpAddr ospfNbrAddressLessIndex ospfNbrRtrId ospfNbrState)
ospfVirtNbrStateChange ospfTraps.3 notify(ospfRouterId ospfVirtNbrArea ospfVirtNbrRtrId ospfVirtNbrState)
ospfIfConfigError ospfTraps.4 notify(ospfRouterId ospfIfIpAddress ospfAddressLessIf ospfPacketSrc ospfConfigErrorType ospfPacketType)
ospfVirtIfConfigError ospfTraps.5 notify(ospfRouterId ospfVirtIfAreaId ospfVirtIfNeighbor ospfConfigErrorType ospfPacketType)
ospfIfAuthFailure ospfTraps.6 notify(ospfRouterId ospfIfIpAddress ospfAddressLessIf ospfPacketSrc ospfConfigErrorType ospfPacketType)
ospfVirtIfAuthFailure ospfTraps.7 notify(ospfRouterId ospfVirtIfAreaId ospfVirtIfNeighbor ospfConfigErrorType ospfPacketType)
ospfIfRxBadPacket ospfTraps.8 notify(ospfRouterId ospfIfIpAddress ospfAddressLessIf ospfPacketSrc ospfPacketType)
ospfVirtIfRxBadPacket ospfTraps.9 notify(ospfRouterId ospfVirtIfAreaId ospfVirtIfNeighbor ospfPacketType)
ospfTxRetransmit ospfTraps.10 notify(ospfRouterId ospfIfIpAddress ospfAddressLessIf ospfNbrRtrId ospfPacketType ospfLsdbType ospfLsdbLsid ospfLsdbRouterId)
ospfVirtIfTxRetransmit ospfTraps.11 notify(ospfRouterId ospfVirtIfAreaId ospfVirtIfNeighbor ospfPacketType ospfLsdbType ospfLsdbLsid ospfLsdbRouterId)
ospfOriginateLsa ospfTraps.12 notify(ospfRouterId ospfLsdbAreaId ospfLsdbType ospfLsdbLsid ospfLsdbRouterId)
ospfMaxAgeLsa ospfTraps.13 notify(ospfRouterId ospfLsdbAreaId ospfLsdbType ospfLsdbLsid ospfLsdbRouterId)
ospfLsdbOverflow ospfTraps.14 notify(ospfRouterId ospfExtLsdbLimit)
ospfLsdbApproachingOverflow ospfTraps.15 notify(ospfRouterId ospfExtLsdbLimit)
ospfIfStateChange ospfTraps.16 notify(ospfRouterId ospfIfIpAddress ospfAddressLessIf ospfIfState)
ospfNssaTranslatorStatusChange ospfTraps.17 notify(ospfRouterId ospfAreaId)
ospfRestartStatusChange ospfTraps.18 notify(ospfRouterId)
ospfNbrRestartHelperStatusChange ospfTraps.19 notify(ospfRouterId ospfNbrIpAddr ospfNbrAddressLessIndex ospfNbrRtrId)
ospfVirtNbrRestartHelperStatusChange ospfTraps.20 notify(ospfRouterId ospfVirtNbrArea ospfVirtNbrRtrId)

@ISIS-MIB
isisMIB mib-2.138
isisNotifications isisMIB.0
isisObjects isisMIB.1
isisNotification isisObjects.10
isisNotificationEntry isisNotification.1
isisNotificationSysLevelIndex isisNotificationEntry.1 INTEGER
isisNotificationCircIfIndex isisNotificationEntry.2 InterfaceIndex
isisPduLspId isisNotificationEntry.3 OCTET-STRING
isisPduFragment isisNotificationEntry.4 OCTET-STRING
isisAdjState isisNotificationEntry.12 {down initializing up failed}
isisDatabaseOverload isisNotifications.1 notify()
isisManualAddressDrops isisNotifications.2 notify()
isisCorruptedLSPDetected isisNotifications.3 notify()
isisAttemptToExceedMaxSequence isisNotifications.4 notify()
isisIDLenMismatch isisNotifications.5 notify()
isisMaxAreaAddressesMismatch isisNotifications.6 notify()
isisOwnLSPPurge isisNotifications.7 notify()
isisSequenceNumberSkip isisNotifications.8 notify()
isisAuthenticationTypeFailure isisNotifications.9 notify()
isisAuthenticationFailure isisNotifications.10 notify()
isisVersionSkew isisNotifications.11 notify()
isisAreaMismatch isisNotifications.12 notify()
isisRejectedAdjacency isisNotifications.13 notify()
isisLSPTooLargeToPropagate isisNotifications.14 notify()
isisOrigLSPBuffSizeMismatch isisNotifications.15 notify()
isisProtocolsSupportedMismatch isisNotifications.16 notify()
isisAdjacencyChange isisNotifications.17 notify(isisNotificationSysLevelIndex isisNotificationCircIfIndex isisPduLspId isisAdjState)
isisLSPErrorDetected isisNotifications.18 notify()

@BFD-STD-MIB
bfdMIB mib-2.222
bfdNotifications bfdMIB.0
bfdSessUp bfdNotifications.1 notify()
bfdSessDown bfdNotifications.2 notify()

@VRRP-MIB
vrrpMIB mib-2.68
vrrpNotifications vrrpMIB.0
vrrpTrapNewMaster vrrpNotifications.1 notify()
vrrpTrapAuthFailure vrrpNotifications.2 notify()

@VRRPV3-MIB
vrrpv3MIB mib-2.207
vrrpv3Notifications vrrpv3MIB.0
vrrpv3NewMaster vrrpv3Notifications.1 notify()
vrrpv3ProtoError vrrpv3Notifications.2 notify()

@MPLS-TC-STD-MIB
mplsStdMIB transmission.166

@MPLS-TE-STD-MIB
mplsTeStdMIB mplsStdMIB.3
mplsTeNotifications mplsTeStdMIB.0
mplsTeObjects mplsTeStdMIB.2
mplsTunnelTable mplsTeObjects.2 table
mplsTunnelEntry mplsTunnelTable.1 row(mplsTunnelIndex mplsTunnelInstance mplsTunnelIngressLSRId mplsTunnelEgressLSRId)
mplsTunnelIndex mplsTunnelEntry.1 Unsigned32
mplsTunnelInstance mplsTunnelEntry.2 Unsigned32
mplsTunnelIngressLSRId mplsTunnelEntry.3 Unsigned32
mplsTunnelEgressLSRId mplsTunnelEntry.4 Unsigned32
mplsTunnelName mplsTunnelEntry.5 SnmpAdminString
mplsTunnelAdminStatus mplsTunnelEntry.34 {up down testing}
mplsTunnelOperStatus mplsTunnelEntry.35 {up down testing unknown dormant notPresent lowerLayerDown}
mplsTunnelUp mplsTeNotifications.1 notify(mplsTunnelAdminStatus mplsTunnelOperStatus)
mplsTunnelDown mplsTeNotifications.2 notify(mplsTunnelAdminStatus mplsTunnelOperStatus)
mplsTunnelRerouted mplsTeNotifications.3 notify()
mplsTunnelReoptimized mplsTeNotifications.4 notify()

@MPLS-LDP-STD-MIB
mplsLdpStdMIB mplsStdMIB.4
mplsLdpNotifications mplsLdpStdMIB.0
mplsLdpInitSessionThresholdExceeded mplsLdpNotifications.1 notify()
mplsLdpPathVectorLimitMismatch mplsLdpNotifications.2 notify()
mplsLdpObjects mplsLdpStdMIB.1
mplsLdpSessionObjects mplsLdpObjects.3
mplsLdpSessionTable mplsLdpSessionObjects.3 table
mplsLdpSessionEntry mplsLdpSessionTable.1 row()
mplsLdpSessionState mplsLdpSessionEntry.2 {nonexistent initialized openrec opensent operational}
mplsLdpSessionUp mplsLdpNotifications.3 notify(mplsLdpSessionState)
mplsLdpSessionDown mplsLdpNotifications.4 notify(mplsLdpSessionState)

@MPLS-L3VPN-STD-MIB
mplsL3VpnMIB mplsStdMIB.11
mplsL3VpnNotifications mplsL3VpnMIB.0
mplsL3VpnObjects mplsL3VpnMIB.1
mplsL3VpnConf mplsL3VpnObjects.2
mplsL3VpnVrfTable mplsL3VpnConf.2 table
mplsL3VpnVrfEntry mplsL3VpnVrfTable.1 row(mplsL3VpnVrfName)
mplsL3VpnVrfName mplsL3VpnVrfEntry.1 SnmpAdminString
mplsL3VpnVrfOperStatus mplsL3VpnVrfEntry.6 {up down}
mplsL3VpnVrfUp mplsL3VpnNotifications.1 notify(mplsL3VpnVrfOperStatus)
mplsL3VpnVrfDown mplsL3VpnNotifications.2 notify(mplsL3VpnVrfOperStatus)
`;
