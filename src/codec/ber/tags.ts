/** The identifier octets SNMP uses: X.690 universal types and the application types of RFC 2578 section 2 (RFC 3416 section 3). */
export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const NULL = 0x05;
export const OBJECT_IDENTIFIER = 0x06;
export const SEQUENCE = 0x30;
export const IP_ADDRESS = 0x40;
export const COUNTER32 = 0x41;
/** Gauge32 and Unsigned32 have the same tag (RFC 2578 section 7.1.7 and 7.1.11). */
export const GAUGE32 = 0x42;
export const TIME_TICKS = 0x43;
export const OPAQUE = 0x44;
export const COUNTER64 = 0x46;
/** RFC 1442 UInteger32: obsolete, still sent. */
export const UINTEGER32 = 0x47;
export const NO_SUCH_OBJECT = 0x80;
export const NO_SUCH_INSTANCE = 0x81;
export const END_OF_MIB_VIEW = 0x82;
