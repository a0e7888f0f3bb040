/**
 * The keys of a path as flat tags: `<element>_<key>`, the element without its module prefix. Where two elements of one path would
 * give the same tag with different values, the later one is named by its whole path. Paths are shared (the decoder keeps them), so each is
 * looked at once.
 */
import type { Path, PathElem } from '../../codec/gnmi/types.ts';

export type Tags = Record<string, string>;

const single = new WeakMap<Path, Tags | false>();
const joined = new WeakMap<Path, WeakMap<Path, Tags>>();

/** Tags of `prefix` and `path` together; undefined where neither has keys. */
export function tagsOf(prefix: Path, path: Path): Tags | undefined {
  const a = ownTags(prefix);
  const b = ownTags(path);
  if (a === false) return b === false ? undefined : b;
  if (b === false) return a;
  let byPath = joined.get(prefix);
  if (!byPath) joined.set(prefix, (byPath = new WeakMap()));
  let tags = byPath.get(path);
  if (!tags) byPath.set(path, (tags = collect([...prefix.elem, ...path.elem])));
  return tags;
}

function ownTags(path: Path): Tags | false {
  let tags = single.get(path);
  if (tags === undefined) {
    tags = path.elem.some((e) => e.key !== undefined) && collect(path.elem);
    single.set(path, tags);
  }
  return tags;
}

function collect(elems: readonly PathElem[]): Tags {
  const tags = Object.create(null) as Tags;
  let whole = '';
  for (const { name, key } of elems) {
    const bare = name.slice(name.lastIndexOf(':') + 1);
    whole += `/${bare}`;
    for (const k in key) {
      const tag = `${bare}_${k}`;
      if (tag in tags && tags[tag] !== key[k]) tags[`${whole}_${k}`] = key[k];
      else tags[tag] = key[k];
    }
  }
  return tags;
}
