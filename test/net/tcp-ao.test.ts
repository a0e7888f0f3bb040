/** TCP-AO: between two sockets of ours where the kernel has it; refused by name, with no session, where it has not. */
import { describe, expect, it } from 'vitest';
import { lbConfig } from '../../src/lb/config.ts';
import { createDial, NO_TCP_AO, openTcpListener, setAoKey, tcpAoProblem } from '../../src/net/tcp.ts';
import type { Connection, DialResult, TcpAoKey } from '../../src/net/types.ts';
import { opened, requireNative, until } from './helpers.ts';

const native = requireNative();
const key = (secret: string): TcpAoKey => ({ send_id: 5, recv_id: 5, algorithm: 'aes-128-cmac-96', secret });

describe('TCP-AO', () => {
  it('is taken, or refused by name', async () => {
    const problem = tcpAoProblem(native);
    const accepted: Connection[] = [];
    const listener = opened(
      await openTcpListener(
        { network: 'default', address: '127.0.0.1', port: 0 },
        { native, prepare: (fd) => (problem === undefined ? setAoKey(native, fd, '127.0.0.1', key('right')) : 0) },
      ),
    );
    listener.start((c) => accepted.push(c));
    const results: DialResult[] = [];
    for (const secret of ['right', 'wrong'])
      createDial({ native })({ address: '127.0.0.1', port: listener.port, ao: key(secret), timeoutMs: 1500 }, (r) =>
        results.push(r),
      );
    await until(() => results.length === 2, 'both answers');
    if (problem === undefined) {
      expect(results.map((r) => r.ok).sort()).toEqual([false, true]);
      expect(accepted).toHaveLength(1);
    } else {
      expect(problem).toBe(NO_TCP_AO);
      expect(results).toEqual([
        { ok: false, error: NO_TCP_AO },
        { ok: false, error: NO_TCP_AO },
      ]);
      expect(accepted).toEqual([]);
    }
    for (const r of results) if (r.ok) r.connection.destroy();
    for (const c of accepted) c.destroy();
    listener.close();
  });

  it('without the add-on it is named too', () => {
    expect(tcpAoProblem(undefined)).toMatch(/add-on/);
  });

  it('is configured in place of a password', () => {
    const peer = { address: '192.0.2.1', asn: 64500, tcp_ao: { send_id: 1, recv_id: 2, secret: 's' } };
    const lb = (p: object) => lbConfig.safeParse({ bgp: { asn: 64512, peers: [p] } });
    expect(lb(peer).data?.bgp?.peers[0].tcp_ao).toEqual({
      ...{ send_id: 1, recv_id: 2, secret: 's', algorithm: 'hmac-sha-1-96' },
    });
    expect(JSON.stringify(lb({ ...peer, password: 'x' }).error?.issues)).toMatch(/either password or tcp_ao/);
    expect(lb({ ...peer, tcp_ao: { send_id: 256, recv_id: 0, secret: 's' } }).success).toBe(false);
  });
});
