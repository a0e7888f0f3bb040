"""Sends with pysnmp what its arguments say: HOST PORT ENGINE, then a JSON list on standard input of
{kind: trap|inform, version: v2c|v3, user, auth, authKey, priv, privKey, text, number}. Prints one line a notification: "ok" or the error."""
import json
import sys

from pysnmp.hlapi import (
    CommunityData, ContextData, NotificationType, ObjectIdentity, OctetString, SnmpEngine, Unsigned32, UdpTransportTarget,
    Udp6TransportTarget, UsmUserData, sendNotification, usmAesBlumenthalCfb256Protocol, usmAesCfb128Protocol,
    usmAesCfb256Protocol, usmDESPrivProtocol, usmHMAC192SHA256AuthProtocol, usmHMAC384SHA512AuthProtocol,
    usmHMACMD5AuthProtocol, usmHMACSHAAuthProtocol)

AUTH = {'md5': usmHMACMD5AuthProtocol, 'sha1': usmHMACSHAAuthProtocol, 'sha256': usmHMAC192SHA256AuthProtocol,
        'sha512': usmHMAC384SHA512AuthProtocol}
PRIV = {'des': usmDESPrivProtocol, 'aes128': usmAesCfb128Protocol, 'aes256': usmAesBlumenthalCfb256Protocol,
        'aes256c': usmAesCfb256Protocol}

host, port, engine = sys.argv[1], int(sys.argv[2]), sys.argv[3]
snmp = SnmpEngine(snmpEngineID=OctetString(hexValue=engine))
target = Udp6TransportTarget if ':' in host else UdpTransportTarget
for n in json.load(sys.stdin):
    if n['version'] == 'v2c':
        who = CommunityData('public', mpModel=1)
    else:
        who = UsmUserData(n['user'], n['authKey'], n['privKey'], authProtocol=AUTH[n['auth']], privProtocol=PRIV[n['priv']])
    what = NotificationType(ObjectIdentity('1.3.6.1.6.3.1.1.5.3')).addVarBinds(
        ('1.3.6.1.4.1.8072.9999.1.1', Unsigned32(n['number'])), ('1.3.6.1.4.1.8072.9999.1.2', OctetString(n['text'])))
    error, status, index, _ = next(
        sendNotification(snmp, who, target((host, port), timeout=5, retries=1), ContextData(), n['kind'], what))
    print(error or status or 'ok', flush=True)
