/**
 * The tokens of an SMI module (RFC 2578 section 3, a subset of ASN.1):
 *
 *   identifiers and keywords   letter, then letters, digits, hyphens (underscores are tolerated, vendors have them)
 *   numbers                    digits, a sign in front
 *   strings                    "…", over lines; '…'H and '…'B
 *   punctuation                ::= .. { } ( ) [ ] , ; | .
 *   comments                   from -- to the next -- or the end of the line
 *
 * A row of more than two hyphens opens a comment that only the end of the line closes: vendors draw rules with them.
 */

export interface Tokens {
  text: string[];
  line: number[];
  /** Where reading had to stop; absent: the whole file was read. */
  problem?: { line: number; message: string };
}

const TOKEN =
  /[ \t\f\v\r]+|\n|--+|"|'[^'\n]*'[A-Za-z]?|::=|\.\.|[A-Za-z][A-Za-z0-9_-]*|-?[0-9]+|[{}()[\],;|.<>=:+*/-]/y;

/** Strings keep their opening quote, so that a token `"SYNTAX` is never a keyword. */
export function tokenize(source: string): Tokens {
  const out: Tokens = { text: [], line: [] };
  let line = 1;
  let at = source.charCodeAt(0) === 0xfeff ? 1 : 0;
  while (at < source.length) {
    TOKEN.lastIndex = at;
    const m = TOKEN.exec(source);
    if (!m) {
      out.problem = { line, message: `unexpected character ${JSON.stringify(source[at])}` };
      return out;
    }
    const t = m[0];
    const c = t.charCodeAt(0);
    if (c === 0x0a) {
      line++;
      at++;
    } else if (c === 0x20 || c === 0x09 || c === 0x0d || c === 0x0b || c === 0x0c) at += t.length;
    else if (c === 0x22) {
      const end = source.indexOf('"', at + 1);
      if (end < 0) {
        out.problem = { line, message: 'a string begins here and never ends' };
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
