/** Which source addresses may speak at all. The longest prefix that holds the source decides; where both lists have it, `deny` wins. */
import { parsePrefix } from './ip.ts';
import { PrefixSet } from './prefix-set.ts';

export interface AclConfig {
  allow?: readonly string[];
  deny?: readonly string[];
}

const ALLOW = 1;
const DENY = 2;

export class SourceAcl {
  private readonly set = new PrefixSet();
  private readonly otherwise: boolean;

  /** Without `allow` everything is allowed that `deny` does not hold; with it, nothing else is. */
  constructor(config: AclConfig) {
    this.otherwise = config.allow === undefined;
    for (const p of config.allow ?? []) this.set.add(parsePrefix(p)!, ALLOW);
    for (const p of config.deny ?? []) this.set.add(parsePrefix(p)!, DENY);
  }

  /** `source`: 4 or 16 bytes. */
  allows(source: Uint8Array): boolean {
    const found = this.set.find(source);
    return found === 0 ? this.otherwise : found === ALLOW;
  }
}

/** Undefined where nothing is configured: then nothing is looked up. */
export function aclOf(config: AclConfig | undefined): SourceAcl | undefined {
  return config === undefined || (config.allow === undefined && config.deny === undefined)
    ? undefined
    : new SourceAcl(config);
}
