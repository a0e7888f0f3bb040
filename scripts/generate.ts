/** Writes what is made from the source: docs/metrics.md, docs/errors.md, docs/config.md, config/schema.json. A test fails when they are stale. */
import { readFileSync, writeFileSync } from 'node:fs';
import { configJsonSchema } from '../src/cli/config.ts';
import { REFUSAL_CODES } from '../src/telemetry/codes.ts';
import { METRICS, type MetricDeclaration } from '../src/telemetry/metrics.ts';

/** Path in the repository → content. */
export function generated(): Record<string, string> {
  const schema = configJsonSchema();
  return {
    'docs/metrics.md': metricsPage(),
    'docs/errors.md': errorsPage(),
    'docs/config.md': configPage(schema),
    'config/schema.json': `${JSON.stringify(schema, null, 2)}\n`,
  };
}

function metricsPage(): string {
  const rows = Object.entries(METRICS as Record<string, MetricDeclaration>).map(
    ([name, m]) => `| \`${name}\` | ${m.type} | ${(m.labels ?? []).map((l) => `\`${l}\``).join(' ')} | ${m.help} |`,
  );
  return `# Metrics\n\nGenerated from \`src/telemetry/metrics.ts\` by \`npm run docs\`. Served at \`/metrics\` of \`admin.listen\`.\n\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function errorsPage(): string {
  const rows = Object.entries(REFUSAL_CODES).map(([code, t]) => `| \`${code}\` | ${t.reason} | ${t.fix} |`);
  return `# Refusals\n\nGenerated from \`src/telemetry/codes.ts\` by \`npm run docs\`. What is refused is counted in \`tidegate_refused_total{collector,code}\`, logged once a source,\nand named by \`tidegate explain DEVICE\`.\n\n| code | what it means | what to do |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
}

interface Node {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Node>;
  additionalProperties?: Node | boolean;
  items?: Node;
  anyOf?: Node[];
  oneOf?: Node[];
  minimum?: number;
  maximum?: number;
}

function configPage(schema: Record<string, unknown>): string {
  const rows: string[] = [];
  walk(schema as Node, '', rows);
  return `# Configuration\n\nGenerated from the definitions that validate the file (\`npm run docs\`). \`tidegate config schema\` prints the same as JSON Schema, \`config/schema.json\`; an editor completes with\n\`# yaml-language-server: $schema=config/schema.json\` as the first line. Unknown keys are errors.\n\nScalar values may contain \`\${VAR}\`, \`\${VAR:-default}\`, \`\${VAR:?message}\` and \`\${file:/path}\`; \`$$\` is a dollar sign.\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function walk(n: Node, path: string, rows: string[]): void {
  const alternatives = n.anyOf ?? n.oneOf;
  if (n.properties) {
    for (const [key, child] of Object.entries(n.properties)) walk(child, path === '' ? key : `${path}.${key}`, rows);
    return;
  }
  const objects = alternatives?.filter((a) => a.properties) ?? [];
  const scalar = !alternatives || objects.length < alternatives.length;
  if (n.type === 'array' && n.items) {
    const item = n.items;
    if (item.properties || item.anyOf?.some((a) => a.properties)) {
      walk(item, `${path}[]`, rows);
      return;
    }
  }
  if (typeof n.additionalProperties === 'object') {
    walk(n.additionalProperties, `${path}.NAME`, rows);
    return;
  }
  if (scalar)
    rows.push(
      `| \`${path}\` | ${valueText(n)} | ${n.default === undefined ? '' : `\`${JSON.stringify(n.default)}\``} | ${cell(n.description ?? '')} |`,
    );
  for (const o of objects) walk(o, path, rows);
}

function valueText(n: Node): string {
  if (n.enum) return n.enum.map((v) => `\`${v}\``).join(' ');
  if (n.const !== undefined) return `\`${n.const}\``;
  const alternatives = n.anyOf ?? n.oneOf;
  if (alternatives) return [...new Set(alternatives.filter((a) => !a.properties).map(valueText))].join(' or ');
  if (n.type === 'array') return `list of ${n.items ? valueText(n.items) : 'values'}`;
  const range =
    n.type === 'integer' &&
    n.minimum !== undefined &&
    n.minimum >= 0 &&
    n.maximum !== undefined &&
    n.maximum < 2 ** 53 - 1
      ? ` ${n.minimum}..${n.maximum}`
      : '';
  return `${Array.isArray(n.type) ? n.type.join(' or ') : (n.type ?? 'any')}${range}`;
}

function cell(text: string): string {
  return text.replace(/\|/g, '\\|').replace(/\n/g, ' ');
}

if (import.meta.main) {
  const root = new URL('../', import.meta.url);
  for (const [path, content] of Object.entries(generated())) {
    const url = new URL(path, root);
    let before = '';
    try {
      before = readFileSync(url, 'utf8');
    } catch {
      // New page.
    }
    if (before !== content) {
      writeFileSync(url, content);
      process.stdout.write(`${path}\n`);
    }
  }
}
