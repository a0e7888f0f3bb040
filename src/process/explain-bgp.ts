/** Why a BGP session is down, in the peer's words where it said any, and what to do. */
import type { LbConfig } from '../lb/config.ts';
import type { LbView, VipFinding } from './explain-vip.ts';
import { ADD_ON } from './fixes.ts';
import type { SpeakerStatus } from './speaker.ts';

type Session = SpeakerStatus['peers'][number];
type Down = NonNullable<Session['last_down']>;
type Said = NonNullable<Session['last_notification']>;

export function explainPeers(lb: LbConfig, view: LbView): VipFinding[] {
  const out: VipFinding[] = [];
  for (const problem of view.listen_problems ?? [])
    out.push({
      at: 'vip',
      severity: 'problem',
      cause: `routers cannot dial this node: lb.bgp.listen: ${problem}; it is tried each second`,
      fix: /add-on/.test(problem)
        ? ADD_ON
        : 'another BGP speaker on this node? peer with it (docs/beside-another-speaker.md), or listen at another address or port',
    });
  for (const p of view.peers ?? []) {
    if (p.state === 'Established') continue;
    const configured = lb.bgp?.peers.find((c) => c.address === p.peer);
    const keyed = configured !== undefined && (configured.password ?? configured.tcp_ao) !== undefined;
    const { words, fix } = whyDown(p.last_down, p.last_notification, keyed);
    out.push({
      at: 'vip',
      severity: 'problem',
      cause: `the BGP session to ${p.peer} is ${p.state}, not Established${words === '' ? '' : `: ${words}`}; that router has no route to this node`,
      fix: `${fix}; \`tidegate lb status\` follows it`,
    });
  }
  return out;
}

const USUAL = 'compare AS numbers, addresses, multihop and filters (TCP 179) on both ends';

/** The last attempt, and where it brought no NOTIFICATION the last one that did: later attempts say less. */
function whyDown(down: Down | undefined, last: Said | undefined, keyed: boolean): { words: string; fix: string } {
  if (!down) return { words: '', fix: USUAL };
  const now = down.received ?? down.sent;
  const said = (n: NonNullable<typeof now>, peer: boolean, before = '') =>
    `${before}${peer ? 'the peer says' : 'we said'} ${n.name}${n.text === undefined ? '' : `: ${n.text}`}`;
  const words = [
    down.reason,
    now && said(now, down.received !== undefined),
    now === undefined && last && said(last, last.from === 'peer', 'before that '),
  ];
  const text = words.filter(Boolean).join(': ');
  // What stands in the way now comes first; a reset or an end of the connection says nothing.
  const fix = (now && ofNotification(now)) ?? ofReason(down.reason, keyed) ?? (last && ofNotification(last)) ?? USUAL;
  return { words: text, fix };
}

function ofNotification({ code, subcode }: { code: number; subcode: number }): string | undefined {
  if (code === 2 && subcode === 2) return 'the AS numbers do not agree: compare asn of both ends';
  if (code === 2 && subcode === 3) return 'two speakers have one BGP identifier: set lb.bgp.router_id';
  if (code === 2 && subcode === 11) return 'the BGP roles do not face each other (RFC 9234): compare role of both ends';
  if (code === 4)
    return 'nothing was heard for the hold time: look for loss or a filter on the way, or a router that is overloaded';
  if (code !== 6) return undefined;
  switch (subcode) {
    case 7:
      return 'the router has a session with this address already, perhaps of another speaker on this node: peer with that one, or give tidegate a local_address of its own';
    case 2:
    case 3:
    case 4:
    case 5:
      return 'somebody ended or refuses the session on the router: look there';
    case 10:
      return 'BFD says that the way to the router is broken: look at the link, and at bfd in `tidegate lb status`';
    default:
      return undefined;
  }
}

function ofReason(reason: string, keyed: boolean): string | undefined {
  if (/needs the (native )?add-on/.test(reason)) return ADD_ON;
  if (/TCP-AO/.test(reason)) return 'a kernel with CONFIG_TCP_AO, or `password` (TCP-MD5) on both ends';
  if (/hold timer/i.test(reason)) return ofNotification({ code: 4, subcode: 0 });
  if (/ECONNREFUSED/.test(reason))
    return 'the router refuses the connection: is BGP configured there for the address of this node?';
  if (/ETIMEDOUT|timed? ?out|no answer/i.test(reason))
    return keyed
      ? 'no answer at all: with a password that is what another password looks like; TCPMD5Failure in /proc/net/netstat counts them; else a filter or no route'
      : 'no answer at all: a filter, no route, or a router that wants a password (lb.bgp.peers.password)';
  if (/EHOSTUNREACH|ENETUNREACH/.test(reason)) return 'there is no route to the router from here';
  if (/EADDRNOTAVAIL|local_address/.test(reason)) return 'local_address of the peer is not an address of this node';
  return undefined;
}
