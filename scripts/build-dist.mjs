// Compiles src/ to dist/ for the packed npm package and the image: Node strips no types under node_modules. A checkout never needs it.
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repo = fileURLToPath(new URL('..', import.meta.url));
const dist = join(repo, 'dist');
// The packed package's entry asks for the right Node before anything newer than it is parsed.
const ENTRY = `#!/usr/bin/env node
const [major, minor] = process.versions.node.split('.').map(Number);
if (major > 24 || (major === 24 && minor >= 6)) await import('./tidegate.js');
else {
  console.error(\`tidegate needs Node 24.6 or newer, this is \${process.versions.node}; the npm package "node" brings one\`);
  process.exitCode = 1;
}
`;

rmSync(dist, { recursive: true, force: true });
execFileSync(join(repo, 'node_modules/.bin/tsc'), ['-p', join(repo, 'tsconfig.build.json')], { stdio: 'inherit' });

// What is no TypeScript (the web page, tables) goes along unchanged.
for (const file of readdirSync(join(repo, 'src'), { recursive: true, encoding: 'utf8', withFileTypes: true })) {
  if (!file.isFile() || /\.(ts|md)$/.test(file.name)) continue;
  const from = join(file.parentPath, file.name);
  cpSync(from, join(dist, from.slice(join(repo, 'src').length)));
}

const main = join(dist, 'main.js');
renameSync(main, join(dist, 'tidegate.js'));
writeFileSync(main, ENTRY, { mode: 0o755 });
