/** The partitioner of the Java client for keyed records: both of our clients, and every other producer of the topic, agree on it. */

/** MurmurHash2 with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2); a signed 32-bit number. Of `data[from, to)`. */
export function murmur2(data: Uint8Array, from = 0, to = data.length): number {
  const m = 0x5bd1e995;
  const length = to - from;
  let h = 0x9747b28c ^ length;
  const words = length >> 2;
  for (let i = 0; i < words; i++) {
    const at = from + (i << 2);
    let k = data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const tail = from + (words << 2);
  const rest = length & 3;
  if (rest === 3) h ^= data[tail + 2] << 16;
  if (rest >= 2) h ^= data[tail + 1] << 8;
  if (rest >= 1) h = Math.imul(h ^ data[tail], m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}

/** toPositive(murmur2(key[from, to))) mod `count`, as the Java client's default partitioner does. */
export function partitionFor(key: Uint8Array, count: number, from = 0, to = key.length): number {
  return (murmur2(key, from, to) & 0x7fffffff) % count;
}
