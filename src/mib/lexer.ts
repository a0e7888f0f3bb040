/**
 * The tokens of an SMI module (RFC 2578 section 3, a subset of ASN.1):
 *
 *   identifiers and keywords   letter, then letters, digits, hyphens (underscores are tolerated, vendors have them)
 *   numbers                    digits, a sign in front
 *   strings                    "…", over lines; '…'H and '…'B
 *   punctuation                ::= .. { } ( ) [ ] , ; | .
 *   comments                   from -- to the next -- or the end of the line
 *
 * A row of more than two hyphens opens a comment that only the end of the line closes: vendors draw rules with them. A character that
 * has no place in a module is a problem and is passed over; a control character ends the reading, for the file is no text.
 */

export interface Tokens {
  text: string[];
  line: number[];
  problems: { line: number; message: string }[];
  /** Reading had to stop at the last of the problems. */
  stopped: boolean;
}

const TOKEN =
  /[ \t\f\v\r\u00a0]+|\n|--+|"|'[^'\n]*'[A-Za-z]?|::=|\.\.|[A-Za-z][A-Za-z0-9_-]*|-?[0-9]+|[{}()[\],;|.<>=:+*/-]/y;

const WHITE = new Set([0x20, 0x09, 0x0d, 0x0b, 0x0c, 0xa0]);

/** Strings keep their opening quote, so that a token `"SYNTAX` is never a keyword. */
export function tokenize(source: string): Tokens {
  const out: Tokens = { text: [], line: [], problems: [], stopped: false };
  let line = 1;
  let at = source.charCodeAt(0) === 0xfeff ? 1 : 0;
  while (at < source.length) {
    TOKEN.lastIndex = at;
    const m = TOKEN.exec(source);
    if (!m) {
      // The end of a DOS file.
      if (source.charCodeAt(at) === 0x1a) return out;
      // One says enough about a file.
      if (out.problems.length === 0)
        out.problems.push({ line, message: `unexpected character ${JSON.stringify(source[at])}` });
      if (source.charCodeAt(at) < 0x20) {
        out.stopped = true;
        return out;
      }
      at++;
      continue;
    }
    const t = m[0];
    const c = t.charCodeAt(0);
    if (c === 0x0a) {
      line++;
      at++;
    } else if (WHITE.has(c)) at += t.length;
    else if (c === 0x22) {
      const end = source.indexOf('"', at + 1);
      if (end < 0) {
        out.problems.push({ line, message: 'a string begins here and never ends' });
        out.stopped = true;
        return out;
      }
      const text = source.slice(at, end);
      out.text.push(text);
      out.line.push(line);
      for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) === 0x0a) line++;
      at = end + 1;
    } else if (t.startsWith('--')) at = commentEnd(source, at, t.length);
    else {
      const cut = hyphens(t);
      out.text.push(cut);
      out.line.push(line);
      at += cut.length;
    }
  }
  return out;
}

/** `name--comment`: two hyphens end an identifier, and a hyphen is never its last character. */
function hyphens(t: string): string {
  const two = t.indexOf('--');
  return two > 0 ? t.slice(0, two) : t;
}

function commentEnd(source: string, from: number, dashes: number): number {
  const eol = source.indexOf('\n', from);
  const end = eol < 0 ? source.length : eol;
  if (dashes > 2) return end;
  for (let at = from + 2; at < end; ) {
    const two = source.indexOf('--', at);
    if (two < 0 || two >= end) return end;
    let after = two + 2;
    while (after < end && source[after] === '-') after++;
    if (after === two + 2) return after;
    at = after;
  }
  return end;
}
