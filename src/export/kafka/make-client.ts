/** From the configuration to a client. */
import { connectThrough, throughDevice } from '../../net/device.ts';
import type { BrokerAddress, ClientFactory, ClientOptions, KafkaAdmin, KafkaClient } from './client.ts';
import { parseBroker } from './client.ts';
import type { KafkaConfig } from './config.ts';
import { readTls, resolveSasl } from './files.ts';
import { kafkajsClient } from './kafkajs.ts';
import { platformaticClient } from './platformatic.ts';

/** `suffix` goes behind client_id, so that quotas and the broker's log tell workers apart. */
export function clientOptions(config: KafkaConfig, suffix: string): ClientOptions {
  const { tls, sasl, device } = config;
  return {
    clientId: `${config.client_id}-${suffix}`,
    brokers: config.brokers.map((b, i): BrokerAddress => ({ id: -1 - i, ...parseBroker(b)! })),
    tls: tls && (() => readTls(tls)),
    sasl: sasl && resolveSasl(sasl),
    device:
      device === undefined
        ? undefined
        : {
            connect: (host, port) => connectThrough(device, host, port),
            around: (dial) => throughDevice(device, dial),
          },
    connectTimeoutMs: 5000,
    requestTimeoutMs: config.request_timeout,
  };
}

/** The client a configuration asks for. */
export function makeClient(suffix: string, config: KafkaConfig, factory?: ClientFactory): KafkaClient {
  const make = factory ?? (config.client === 'kafkajs' ? kafkajsClient : platformaticClient);
  return make(clientOptions(config, suffix));
}

/** The client that `topics` and `check` use, whichever one delivers. */
export function makeAdmin(config: KafkaConfig, suffix = 'admin'): KafkaAdmin {
  return platformaticClient(clientOptions(config, suffix));
}
