/** Whether somebody still sends to a VIP, whatever socket it arrives at. */
import { describe, expect, it } from 'vitest';
import { MemoryUdpSocket } from '../../src/net/memory.ts';
import { VipTable, watchUdp } from '../../src/process/vip-seen.ts';

const VIPS = [
  { name: 'a', addresses: ['203.0.113.10/32', '2001:db8::10/128'], mode: 'ecmp' as const },
  { name: 'b', addresses: ['203.0.113.11/32'], mode: 'ecmp' as const },
];
const to = (destination: string) => ({ data: Buffer.of(1), source: '10.0.0.1', sourcePort: 9, destination });

describe('packets to VIPs', () => {
  it('are noted at a wildcard socket by destination, and follow a changed configuration', () => {
    const table = new VipTable(VIPS);
    const socket = new MemoryUdpSocket('0.0.0.0', 162);
    const seen: string[] = [];
    watchUdp(socket, table, (v) => seen.push(v));
    socket.start(() => {});
    socket.inject(to('203.0.113.10'), to('203.0.113.10'), to('192.0.2.1'), to('203.0.113.11'), to('2001:db8::10'));
    expect(seen).toEqual(['203.0.113.10', '203.0.113.11', '2001:db8::10']);
    table.replace([VIPS[1]]);
    socket.inject(to('203.0.113.10'), to('203.0.113.11'));
    expect(seen).toEqual(['203.0.113.10', '203.0.113.11', '2001:db8::10', '203.0.113.11']);
    table.replace([]);
    socket.inject(to('203.0.113.11'));
    expect(seen).toHaveLength(4);
  });

  it('are noted once a batch at the socket of an address, while it is a VIP', () => {
    const socket = new MemoryUdpSocket('203.0.113.10', 162);
    const seen: string[] = [];
    const table = new VipTable(VIPS);
    watchUdp(socket, table, (v) => seen.push(v));
    socket.start(() => {});
    socket.inject(to('203.0.113.10'), to('203.0.113.10'));
    expect(seen).toEqual(['203.0.113.10']);
    table.replace([VIPS[1]]);
    socket.inject(to('203.0.113.10'));
    expect(seen).toHaveLength(1);
  });
});
