/** Longest-prefix match over thousands of prefixes: a binary trie in one flat array. A look-up allocates nothing and takes at most 128 steps. */
import { isMapped, type Prefix } from './ip.ts';

/** Of a node: its two children and its value (0: none). */
const STRIDE = 3;

export class PrefixSet {
  private nodes = new Int32Array(STRIDE * 64);
  private used = 2;
  size = 0;

  /** `value` must be positive. A prefix that was there already gets the new value. */
  add(p: Prefix, value: number): void {
    let node = p.bytes.length === 4 ? 0 : 1;
    for (let bit = 0; bit < p.length; bit++) {
      const at = node * STRIDE + ((p.bytes[bit >> 3] >> (7 - (bit & 7))) & 1);
      if (this.nodes[at] === 0) {
        const fresh = this.used++;
        if (this.used * STRIDE > this.nodes.length) {
          const larger = new Int32Array(this.nodes.length * 2);
          larger.set(this.nodes);
          this.nodes = larger;
        }
        this.nodes[at] = fresh;
      }
      node = this.nodes[at];
    }
    if (this.nodes[node * STRIDE + 2] === 0) this.size++;
    this.nodes[node * STRIDE + 2] = value;
  }

  /** The value of the longest prefix that holds `address` (4 or 16 bytes; an IPv4-mapped one counts as IPv4), or 0. */
  find(address: Uint8Array): number {
    const mapped = address.length === 16 && isMapped(address);
    const offset = mapped ? 12 : 0;
    const { nodes } = this;
    let node = address.length === 4 || mapped ? 0 : 1;
    const bits = (address.length - offset) * 8;
    let found = nodes[node * STRIDE + 2];
    for (let bit = 0; bit < bits; bit++) {
      node = nodes[node * STRIDE + ((address[offset + (bit >> 3)] >> (7 - (bit & 7))) & 1)];
      if (node === 0) break;
      const value = nodes[node * STRIDE + 2];
      if (value !== 0) found = value;
    }
    return found;
  }
}
