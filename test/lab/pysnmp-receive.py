"""Receives SNMPv1 and v2c notifications with pysnmp on ADDRESS PORT and prints each as a JSON line: {"source", "model" (1, 2), "varbinds":
[[OID, class of pysnmp, prettyPrint], ...]}, as pysnmp hands them to a program: of v1 as RFC 3584 makes v2 of them. Whatever the community."""
import json
import sys

from pysnmp.carrier.asyncore.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import ntfrcv

snmp = engine.SnmpEngine()
config.addTransport(snmp, udp.domainName + (1,), udp.UdpTransport().openServerMode((sys.argv[1], int(sys.argv[2]))))
config.addV1System(snmp, 'area', 'public')
heard = {}


def observe(_engine, point, variables, _context):
    if point == 'rfc3412.receiveMessage:request':
        heard.update(source=str(variables['transportAddress'][0]), model=int(variables['securityModel']))


def received(_engine, _reference, _engine_id, _context_name, varbinds, _context):
    said = [[oid.prettyPrint(), value.__class__.__name__, value.prettyPrint()] for oid, value in varbinds]
    print(json.dumps(dict(heard, varbinds=said)), flush=True)


snmp.observer.registerObserver(observe, 'rfc3412.receiveMessage:request')
ntfrcv.NotificationReceiver(snmp, received)
print('ready', flush=True)
snmp.transportDispatcher.jobStarted(1)
snmp.transportDispatcher.runDispatcher()
