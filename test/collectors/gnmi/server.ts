/** A small gNMI server: what a test makes it say, it says. Requests and metadata are kept. */
import { Buffer } from 'node:buffer';
import { type Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { gnmiType } from '../../../src/codec/gnmi/proto.ts';

export type Call = ServerDuplexStream<Buffer, Buffer>;

export interface FakeGnmi {
  port: number;
  requests: { subscribe: Record<string, unknown>; metadata: Metadata }[];
  /** Address and port each call came from. */
  peers: string[];
  close(): void;
}

export function response(value: object): Buffer {
  const type = gnmiType('SubscribeResponse');
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}

/** Listens on loopback; `onSubscribe` is called with each first request. */
export async function fakeGnmi(onSubscribe: (call: Call, metadata: Metadata) => void, port = 0): Promise<FakeGnmi> {
  const server = new Server();
  const same = (b: Buffer) => b;
  const fake: FakeGnmi = { port: 0, requests: [], peers: [], close: () => server.forceShutdown() };
  server.addService(
    {
      Subscribe: {
        path: '/gnmi.gNMI/Subscribe',
        requestStream: true,
        responseStream: true,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    {
      Subscribe: (call: Call) => {
        fake.peers.push(call.getPeer());
        call.on('error', () => {});
        call.once('data', (b: Buffer) => {
          const type = gnmiType('SubscribeRequest');
          const request = type.toObject(type.decode(b), { longs: String, enums: String });
          fake.requests.push({ subscribe: request.subscribe as Record<string, unknown>, metadata: call.metadata });
          onSubscribe(call, call.metadata);
        });
      },
    },
  );
  fake.port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (e, bound) =>
      e ? reject(e) : resolve(bound),
    );
  });
  return fake;
}
