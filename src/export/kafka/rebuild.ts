/** A client that can be thrown away with everything it holds, and made anew. What was in flight fails at once and is tried again by the lanes. */
import type { BrokerAddress, ClusterMetadata, KafkaClient, ProduceAnswer, ProduceBatch } from './client.ts';
import { ClientError } from './errors.ts';

export class RebuildableClient implements KafkaClient {
  private readonly make: () => KafkaClient;
  private current: KafkaClient;
  private readonly inFlight = new Set<(e: ClientError) => void>();

  constructor(make: () => KafkaClient) {
    this.make = make;
    this.current = make();
  }

  /** A new client; a library in an unknown state may never answer what it was asked. */
  rebuild(): void {
    const old = this.current;
    this.current = this.make();
    for (const fail of [...this.inFlight]) fail(new ClientError('network', 'the Kafka client was built again'));
    void old.close().catch(() => {});
  }

  metadata(topics: string[]): Promise<ClusterMetadata> {
    return this.bounded(this.current.metadata(topics));
  }

  initProducerId(): Promise<{ id: bigint; epoch: number }> {
    return this.bounded(this.current.initProducerId());
  }

  produce(broker: BrokerAddress, batches: ProduceBatch[]): Promise<ProduceAnswer[]> {
    return this.bounded(this.current.produce(broker, batches));
  }

  reconnect(): void {
    this.current.reconnect();
  }

  close(): Promise<void> {
    return this.current.close();
  }

  private bounded<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.inFlight.add(reject);
      answer.then(resolve, reject).finally(() => this.inFlight.delete(reject));
    });
  }
}
