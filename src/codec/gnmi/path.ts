/**
 * gNMI paths as text (openconfig/reference, rpc/gnmi/gnmi-path-strings.md).
 *
 *   [origin:]/name[key=value][key=value]/name...
 *
 * A backslash takes the meaning from the character behind it. Written with one: `/ [ ] \` in a name, `= ] \` in a key's name,
 * `] \` in a value; so a slash in a value is written as it is: `/interfaces/interface[name=Ethernet1/1]/state`. Keys are written
 * in the order of their names, so that one path has one text. `*` and `...` are names like any other.
 */
import type { Path, PathElem } from './types.ts';

export const MAX_PATH_ELEMENTS = 64;
export const MAX_KEYS = 32;

/** The text of elements, `/` for none. */
export function formatElems(elems: readonly PathElem[]): string {
  if (elems.length === 0) return '/';
  let text = '';
  for (const elem of elems) {
    text += `/${escapeText(elem.name, NAME)}`;
    if (elem.key !== undefined) text += formatKeys(elem.key);
  }
  return text;
}

function formatKeys(key: Record<string, string>): string {
  const names = Object.keys(key);
  if (names.length > 1) names.sort();
  let text = '';
  for (const name of names) text += `[${escapeText(name, KEY)}=${escapeText(key[name], VALUE)}]`;
  return text;
}

const NAME = /[/[\]\\]/;
const KEY = /[=\]\\]/;
const VALUE = /[\]\\]/;

function escapeText(text: string, special: RegExp): string {
  if (!special.test(text)) return text;
  return text.replace(new RegExp(special, 'g'), '\\$&');
}

/** A path of these elements, with its text. */
export function makePath(elem: readonly PathElem[], origin = '', target = ''): Path {
  return { origin, target, elem, text: formatElems(elem) };
}

/** `origin:/a/b[k=v]`, with or without the leading slash. A string answer is an error for people: what is wrong, and where. */
export function parsePath(text: string): Path | string {
  let origin = '';
  let at = 0;
  const m = /^([A-Za-z0-9_.-]*):\//.exec(text);
  if (m) {
    if (m[1] === '') return 'nothing stands before the colon: write ORIGIN:/path, or /path';
    origin = m[1];
    at = m[0].length - 1;
  }
  if (text === '') return 'the path is empty: write / for everything';
  if (text[at] === '/') at++;
  const elem: PathElem[] = [];
  while (at < text.length) {
    const parsed = parseElem(text, at);
    if (typeof parsed === 'string') return parsed;
    elem.push(parsed.elem);
    if (elem.length > MAX_PATH_ELEMENTS) return `more than ${MAX_PATH_ELEMENTS} elements`;
    at = parsed.at;
    if (text[at] === '/') at++;
  }
  return makePath(elem, origin);
}

/** An element of the old form, where keys are part of the string; what cannot be read is a name as it is. */
export function parseOldElement(text: string): PathElem {
  const parsed = parseElem(text, 0);
  return typeof parsed === 'string' || parsed.at !== text.length ? { name: text } : parsed.elem;
}

function parseElem(text: string, from: number): { elem: PathElem; at: number } | string {
  const name = readUntil(text, from, '/[');
  if (name === undefined) return 'ends with a backslash: write \\\\ for one';
  if (name.value === '') return `an element without a name at character ${from + 1}`;
  if (name.bare?.includes(']')) return `a ] without its [ in "${name.value}": write \\] for the character itself`;
  let at = name.at;
  let key: Record<string, string> | undefined;
  let count = 0;
  while (text[at] === '[') {
    const start = at + 1;
    const keyName = readUntil(text, at + 1, '=]');
    if (keyName === undefined || text[keyName.at] !== '=')
      return `a key without = at character ${start}: write [name=value]`;
    if (keyName.value === '') return `a key without a name at character ${start}: write [name=value]`;
    const value = readUntil(text, keyName.at + 1, ']');
    if (value === undefined || text[value.at] !== ']') return `the ] of [${keyName.value}=… is missing`;
    key ??= Object.create(null) as Record<string, string>;
    if (keyName.value in key) return `the key ${keyName.value} is given twice in ${name.value}`;
    if (++count > MAX_KEYS) return `more than ${MAX_KEYS} keys in ${name.value}`;
    key[keyName.value] = value.value;
    at = value.at + 1;
  }
  if (at < text.length && text[at] !== '/')
    return `only / or [ may follow a ], not "${text[at]}" at character ${at + 1}`;
  return { elem: key ? { name: name.value, key } : { name: name.value }, at };
}

/** Up to one of `stops` or the end; undefined where the text ends behind a backslash. `bare` holds the unescaped characters. */
function readUntil(text: string, from: number, stops: string): { value: string; bare: string; at: number } | undefined {
  let value = '';
  let bare = '';
  let at = from;
  for (; at < text.length && !stops.includes(text[at]); at++) {
    if (text[at] === '\\') {
      if (++at === text.length) return undefined;
    } else bare += text[at];
    value += text[at];
  }
  return { value, bare, at };
}
