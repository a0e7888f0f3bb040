/** What openconfig's fake target is told to say, and what must be read of it. */

/** The fake target's script (protobuf text of openconfig/gnmi testing/fake/proto): one notification after the other, then sync_response. */
export const SCRIPT = `
target: "fake"
client_type: GRPC_GNMI
disable_eof: true
fixed: <
  responses: < update: <
    timestamp: 1700000000000000001
    prefix: < origin: "openconfig" elem: < name: "interfaces" > >
    update: <
      path: < elem: < name: "interface" key: < key: "name" value: "Ethernet1/1" > > elem: < name: "in-octets" > >
      val: < uint_val: 18446744073709551615 >
    >
    update: <
      path: < elem: < name: "interface" key: < key: "name" value: "a]b" > > elem: < name: "out-octets" > >
      val: < int_val: -9223372036854775808 >
    >
  > >
  responses: < update: <
    timestamp: 1700000000000000002
    update: < path: < elem: < name: "s" > > val: < string_val: "caf\\303\\251" > >
    update: < path: < elem: < name: "b" > > val: < bool_val: true > >
    update: < path: < elem: < name: "y" > > val: < bytes_val: "\\000\\377" > >
    update: < path: < elem: < name: "f" > > val: < float_val: 0.1 > >
    update: < path: < elem: < name: "d" > > val: < double_val: 2.5 > >
    update: < path: < elem: < name: "dec" > > val: < decimal_val: < digits: -1234 precision: 2 > > >
    update: < path: < elem: < name: "l" > > val: < leaflist_val: < element: < string_val: "x" > element: < uint_val: 7 > > > >
    update: < path: < elem: < name: "j" > > val: < json_val: '{"n":9007199254740993,"list":[1,2.5,null]}' > >
    update: < path: < elem: < name: "ji" > > val: < json_ietf_val: '{"openconfig-interfaces:mtu":1500}' > >
    update: < path: < elem: < name: "a" > > val: < ascii_val: "show version" > >
    update: < path: < elem: < name: "p" > > val: < proto_bytes: "\\010\\001" > >
    update: < path: < element: "old" element: "style" > value: < value: '"v"' type: JSON > >
  > >
  responses: < update: <
    timestamp: 1700000000000000003
    delete: < elem: < name: "s" > >
    delete: < elem: < name: "interfaces" > elem: < name: "interface" key: < key: "name" value: "Ethernet1/1" > > >
    atomic: true
  > >
>
`;

/** What the events say of it. */
export const EXPECTED = [
  {
    timestamp_ns: '1700000000000000001',
    origin: 'openconfig',
    prefix: '/interfaces',
    updates: [
      {
        path: '/interface[name=Ethernet1/1]/in-octets',
        tags: { interface_name: 'Ethernet1/1' },
        type: 'uint64',
        value: '18446744073709551615',
      },
      {
        path: '/interface[name=a\\]b]/out-octets',
        tags: { interface_name: 'a]b' },
        type: 'int64',
        value: '-9223372036854775808',
      },
    ],
  },
  {
    timestamp_ns: '1700000000000000002',
    updates: [
      { path: '/s', type: 'string', value: 'café' },
      { path: '/b', type: 'bool', value: true },
      { path: '/y', type: 'bytes', value: '0x00ff' },
      { path: '/f', type: 'float', value: 0.1 },
      { path: '/d', type: 'double', value: 2.5 },
      { path: '/dec', type: 'decimal64', value: '-12.34' },
      {
        path: '/l',
        type: 'leaflist',
        value: [
          { type: 'string', value: 'x' },
          { type: 'uint64', value: '7' },
        ],
      },
      { path: '/j', type: 'json', value: { n: '9007199254740993', list: [1, 2.5, null] } },
      { path: '/ji', type: 'json_ietf', value: { 'openconfig-interfaces:mtu': 1500 } },
      { path: '/a', type: 'ascii', value: 'show version' },
      { path: '/p', type: 'proto', value: '0x0801' },
      { path: '/old/style', type: 'json', value: 'v' },
    ],
  },
  {
    timestamp_ns: '1700000000000000003',
    updates: [],
    deletes: ['/s', '/interfaces/interface[name=Ethernet1/1]'],
    atomic: true,
  },
  { sync: true },
];
