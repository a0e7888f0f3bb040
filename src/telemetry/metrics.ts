import { LB_REASONS } from './lb-reasons.ts';

/** Every metric, declared once. docs/metrics.md is generated from here. `merge: max` for gauges where adding workers makes no sense. */
export interface MetricDeclaration {
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  labels?: readonly string[];
  buckets?: readonly number[];
  merge?: 'sum' | 'max' | 'min';
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Around the budget of an inform (200 ms) and what a sync and a request to Kafka take. */
const ACK_SECONDS = [
  0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1, 2.5, 5,
] as const;

export const METRICS = {
  // Reception
  tidegate_received_total: { type: 'counter', help: 'Datagrams or messages read from a socket', labels: ['collector'] },
  tidegate_events_total: { type: 'counter', help: 'Events written to the spool', labels: ['type'] },
  tidegate_refused_total: {
    type: 'counter',
    help: 'What was received and not accepted, and for gnmi each attempt that a target did not accept, by reason code; not a loss',
    labels: ['collector', 'code'],
  },
  tidegate_lost_events_total: {
    type: 'counter',
    help: 'What was lost and why: kernel (socket buffer), shed (spool full), quarantine (never accepted by Kafka), corrupt (damaged on disk), poison (workers died of it)',
    labels: ['collector', 'reason'],
  },
  tidegate_repeated_total: {
    type: 'counter',
    help: 'Retries of an inform in flight or answered: not spooled again',
    labels: ['collector'],
  },
  tidegate_unsent_total: {
    type: 'counter',
    help: 'Responses and Reports that the kernel refused to send: whoever waits asks again',
    labels: ['collector'],
  },
  tidegate_suppressed_total: {
    type: 'counter',
    help: 'Notifications equal to one a moment ago (dedup): counted in a summary, not an event each',
    labels: ['collector'],
  },
  tidegate_kernel_losses_total: {
    type: 'counter',
    help: 'What the host lost before any socket, since start: network interfaces, UDP, reassembly; of all programs in this network namespace',
    labels: ['counter'],
  },
  tidegate_backpressure_seconds_total: {
    type: 'counter',
    help: 'Time in which stream sockets were paused because too much waited for fdatasync',
  },
  tidegate_inform_ack_seconds: {
    type: 'histogram',
    help: 'From reading an inform to sending its Response',
    buckets: ACK_SECONDS,
    labels: ['listener', 'stage'],
  },
  tidegate_inform_ack_quantile_seconds: {
    type: 'gauge',
    help: 'p50 and p99 of tidegate_inform_ack_seconds since start, over all workers',
    labels: ['listener', 'stage', 'quantile'],
  },
  tidegate_heartbeat_run: {
    type: 'gauge',
    help: 'Newest run of a sender of heartbeats: UTC seconds at which it began to count',
    labels: ['device', 'sender'],
    merge: 'max',
  },
  tidegate_heartbeat_received: {
    type: 'gauge',
    help: 'Different numbers of that run seen by this node; loss on the way is the highest tidegate_heartbeat_sequence less the sum of this over all nodes',
    labels: ['device', 'sender'],
  },
  tidegate_heartbeat_sequence: {
    type: 'gauge',
    help: 'Highest number of that run seen by this node',
    labels: ['device', 'sender'],
    merge: 'max',
  },
  tidegate_heartbeat_duplicates: {
    type: 'gauge',
    help: 'Numbers of that run that came again',
    labels: ['device', 'sender'],
  },
  tidegate_informs_in_flight: { type: 'gauge', help: 'Informs that wait for their receipt' },
  tidegate_usm_reports_total: {
    type: 'counter',
    help: 'Report PDUs sent to SNMPv3 senders, by their counter; engineID: answers to a query for our engine id',
    labels: ['report'],
  },
  tidegate_usm_reports_suppressed_total: {
    type: 'counter',
    help: 'Report PDUs that were due and not sent: too many for this source, or for all',
  },
  tidegate_usm_tolerated_total: {
    type: 'counter',
    help: 'SNMPv3 messages that strict timeliness would have refused, by the mode that let them pass',
    labels: ['timeliness'],
  },
  tidegate_usm_engines: { type: 'gauge', help: 'Sending SNMPv3 engines whose clock is known' },
  tidegate_usm_keys: { type: 'gauge', help: 'Pairs of engine and user whose keys are ready' },
  tidegate_usm_users_pending: { type: 'gauge', help: 'SNMPv3 users whose keys are being made of their passphrases' },
  tidegate_usm_fenced: {
    type: 'gauge',
    help: '1 while this worker refuses v3 informs because its clock cannot be trusted',
    merge: 'max',
  },
  tidegate_sessions: { type: 'gauge', help: 'Sessions that are up', labels: ['collector'] },
  // Spool
  tidegate_spool_bytes: { type: 'gauge', help: 'Bytes in the spool, exported ones included', labels: ['class'] },
  tidegate_spool_appended_bytes_total: { type: 'counter', help: 'Bytes of records appended to the spool' },
  tidegate_spool_unexported_bytes: {
    type: 'gauge',
    help: 'Bytes not yet exported by every durable exporter',
    labels: ['class'],
  },
  tidegate_spool_sync_seconds: { type: 'histogram', help: 'Duration of an fdatasync', buckets: SECONDS },
  tidegate_spool_corrupt_records_total: { type: 'counter', help: 'Damaged records found and set aside' },
  tidegate_spool_torn_bytes_total: { type: 'counter', help: 'Bytes of an unfinished write cut off at start' },
  tidegate_spool_sync_errors_total: {
    type: 'counter',
    help: 'Failed writes or syncs; the records were written again to a new segment',
  },
  // Export
  tidegate_export_acked_total: { type: 'counter', help: 'Events acknowledged by the exporter', labels: ['exporter'] },
  tidegate_export_retried_total: {
    type: 'counter',
    help: 'Events sent again after a failed attempt',
    labels: ['exporter'],
  },
  tidegate_export_quarantined_total: {
    type: 'counter',
    help: 'Events that can never be accepted, set aside',
    labels: ['exporter'],
  },
  tidegate_export_quarantine_dropped_total: {
    type: 'counter',
    help: 'Events set aside earlier whose quarantine file was deleted because newer ones needed its room',
    labels: ['exporter'],
  },
  tidegate_export_skipped_total: {
    type: 'counter',
    help: 'Events a slow non-durable exporter skipped',
    labels: ['exporter'],
  },
  tidegate_relay_total: {
    type: 'counter',
    help: 'Notifications of a relay by receiver and result: sent, delivered, refused, given-up, looped, no-raw, not-encodable, skipped; retried, repeated and socket-error count attempts, counter64 varbinds that v1 cannot say',
    labels: ['exporter', 'target', 'result'],
  },
  tidegate_relay_target_up: {
    type: 'gauge',
    help: '1 while nothing says that this receiver of a relay is away: no answer to informs, or an error of the network to traps',
    labels: ['exporter', 'target'],
    merge: 'min',
  },
  tidegate_export_lag_events: {
    type: 'gauge',
    help: 'Events in the spool not yet acknowledged by the exporter',
    labels: ['exporter'],
  },
  tidegate_export_up: { type: 'gauge', help: '1 while the exporter can deliver', labels: ['exporter'], merge: 'min' },
  tidegate_export_contained_total: {
    type: 'counter',
    help: 'Errors a Kafka client library let fall; the client was built again and nothing was lost',
  },
  // Processes
  tidegate_worker_up: { type: 'gauge', help: '1 while the worker renews its lease', labels: ['worker'] },
  tidegate_worker_restarts_total: { type: 'counter', help: 'Restarts of a worker', labels: ['worker'] },
  tidegate_admin_login_failures_total: {
    type: 'counter',
    help: 'Requests to admin.api without a valid login: missing, wrong, or limited after too many wrong ones',
    labels: ['reason'],
  },
  tidegate_build_info: { type: 'gauge', help: 'Always 1; the version is a label', labels: ['version'] },
  // Load balancer
  tidegate_lb_grade: { type: 'gauge', help: '2 full, 1 degraded, 0 dead' },
  tidegate_lb_lease_fresh: { type: 'gauge', help: '1 while every worker renewed its lease in time' },
  tidegate_lb_vip_announced: { type: 'gauge', help: '1 while at least one peer was sent the VIP', labels: ['vip'] },
  tidegate_lb_reason: {
    type: 'gauge',
    help: `1 while the reason holds for which this node is not full: ${LB_REASONS.join(', ')}`,
    labels: ['reason'],
  },
  tidegate_lb_vip_last_packet_seconds: {
    type: 'gauge',
    help: 'Seconds since the last packet to the address was seen here; absent: none was',
    labels: ['vip', 'address'],
    merge: 'min',
  },
  tidegate_lb_bgp_session_up: { type: 'gauge', help: '1 while the session is Established', labels: ['peer'] },
  tidegate_lb_bgp_updates_total: { type: 'counter', help: 'UPDATE messages sent', labels: ['peer'] },
  tidegate_lb_bgp_notifications_total: {
    type: 'counter',
    help: 'NOTIFICATION messages',
    labels: ['peer', 'direction'],
  },
  tidegate_lb_bfd_session_up: { type: 'gauge', help: '1 while the BFD session is Up', labels: ['peer'] },
  tidegate_lb_timer_late_seconds: {
    type: 'histogram',
    help: 'How late timers of the speaker fired; BFD and VRRP are as punctual as this',
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
  },
  tidegate_lb_bfd_refused_total: { type: 'counter', help: 'BFD packets that were dropped', labels: ['code'] },
  tidegate_lb_l2_owner: { type: 'gauge', help: '1 while this node owns the VIP on its LAN', labels: ['vip'] },
  tidegate_lb_l2_refused_total: {
    type: 'counter',
    help: 'ARP and neighbour discovery frames that could not be read',
    labels: ['code'],
  },
  tidegate_lb_l2_transitions_total: { type: 'counter', help: 'VIP addresses this node took or gave up on its LAN' },
  tidegate_lb_vrrp_state: {
    type: 'gauge',
    help: 'State of the virtual router: 2 Active, 1 Backup, 0 Initialize',
    labels: ['instance'],
  },
  tidegate_lb_vrrp_adverts_total: {
    type: 'counter',
    help: 'Advertisements sent, and received and accepted',
    labels: ['instance', 'direction'],
  },
  tidegate_lb_vrrp_refused_total: {
    type: 'counter',
    help: 'Advertisements for the VRID that were not accepted; vrrp-addresses: accepted, with other addresses',
    labels: ['instance', 'code'],
  },
  tidegate_lb_vrrp_transitions_total: {
    type: 'counter',
    help: 'Changes of state of the virtual router',
    labels: ['instance'],
  },
  // Cluster
  tidegate_cluster_members: { type: 'gauge', help: 'Other members of the cluster', labels: ['state'] },
  tidegate_cluster_refused_total: { type: 'counter', help: 'Heartbeats that were refused', labels: ['code'] },
  tidegate_cluster_clock_skew_seconds: {
    type: 'gauge',
    help: 'How far this clock is behind the median of the members (negative: ahead)',
  },
} as const satisfies Record<string, MetricDeclaration>;

export type MetricName = keyof typeof METRICS;
