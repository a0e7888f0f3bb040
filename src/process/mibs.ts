/**
 * The MIB table of an instance. Compiling takes seconds, so it is done in a thread, and its result is kept in data_dir: as long as no file
 * changes, the next start takes it from there. Workers are only told which file to load.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker as Thread } from 'node:worker_threads';
import { keyOf, listMibFiles } from '../config/mib-files.ts';
import type { Logger } from '../core/log.ts';
import type { MibProblem } from '../mib/model.ts';
import { decodeTable } from '../mib/table.ts';

/** Older tables are kept until the workers have surely loaded the new one. */
const KEEP = 2;
/** In `status` and in the log. */
const PROBLEMS_SHOWN = 50;

/** What a thread leaves beside a table. */
export interface MibSummary {
  modules: number;
  files: number;
  nodes: number;
  problems: MibProblem[];
}

/** To and from the thread. */
export interface MibRequest {
  paths: string[];
  table: string;
  summary: string;
}
export type MibReply = { ok: true } | { ok: false; message: string };

export interface MibStatus {
  paths: string[];
  state: 'built-in' | 'compiling' | 'loaded' | 'failed';
  modules: number;
  nodes: number;
  problems: number;
  /** The first of them, as FILE:LINE: CAUSE. */
  first: string[];
}

export class Mibs {
  private readonly o: {
    log: Logger;
    /** Where tables are kept; workers are told the file as it is named here. */
    dir: string;
    version: string;
    onTable: (file: string | undefined) => void;
  };
  private paths: readonly string[] = [];
  private key: string | undefined;
  private state: MibStatus['state'] = 'built-in';
  private summary: MibSummary | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  /** The table to load; absent: the built-in facts. */
  table: string | undefined;

  /** `onTable` is called whenever `table` has become another one. */
  constructor(o: Mibs['o']) {
    this.o = o;
  }

  /** Looks at the files; resolves when their table is in force, or was found to be impossible. Never rejects. */
  async load(paths: readonly string[]): Promise<void> {
    this.paths = paths;
    if (this.running) {
      this.again = true;
      return this.running;
    }
    this.running = this.work();
    await this.running;
    this.running = undefined;
  }

  private async work(): Promise<void> {
    do {
      this.again = false;
      try {
        await this.once([...this.paths]);
      } catch (e) {
        this.state = 'failed';
        this.o.log.error({ error: (e as Error).message }, 'the MIBs could not be compiled; the names in force stay');
      }
    } while (this.again);
  }

  private async once(paths: string[]): Promise<void> {
    if (paths.length === 0) {
      this.key = undefined;
      this.summary = undefined;
      this.state = 'built-in';
      this.take(undefined);
      return;
    }
    const { files } = listMibFiles(paths);
    const key = keyOf(files, this.o.version);
    if (key === this.key) return;
    const table = join(this.o.dir, `${key}.tgmib`);
    const summary = join(this.o.dir, `${key}.json`);
    if (!usable(table, summary)) {
      this.state = 'compiling';
      mkdirSync(this.o.dir, { recursive: true });
      // Workers read it as another user.
      chmodSync(this.o.dir, 0o755);
      await compileInThread({ paths, table, summary });
    }
    this.summary = JSON.parse(readFileSync(summary, 'utf8')) as MibSummary;
    this.key = key;
    this.state = 'loaded';
    this.say(this.summary);
    this.take(table);
    forget(this.o.dir, key);
  }

  private take(table: string | undefined): void {
    if (table === this.table) return;
    this.table = table;
    this.o.onTable(table);
  }

  private say(s: MibSummary): void {
    const { log } = this.o;
    log.info({ modules: s.modules, files: s.files, nodes: s.nodes, problems: s.problems.length }, 'MIBs loaded');
    if (s.problems.length > 0)
      log.warn(
        { problems: s.problems.slice(0, PROBLEMS_SHOWN).map(formatMibProblem) },
        'parts of the MIBs are not usable; the rest is in force',
      );
  }

  status(): MibStatus {
    return {
      paths: [...this.paths],
      state: this.state,
      modules: this.summary?.modules ?? 0,
      nodes: this.summary?.nodes ?? 0,
      problems: this.summary?.problems.length ?? 0,
      first: (this.summary?.problems ?? []).slice(0, PROBLEMS_SHOWN).map(formatMibProblem),
    };
  }
}

export function formatMibProblem(p: MibProblem): string {
  return `${p.file}${p.line > 0 ? `:${p.line}` : ''}: ${p.message}`;
}

function usable(table: string, summary: string): boolean {
  try {
    readFileSync(summary);
    return typeof decodeTable(readFileSync(table)) !== 'string';
  } catch {
    return false;
  }
}

function compileInThread(request: MibRequest): Promise<void> {
  const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
  const thread = new Thread(new URL(`./mib-thread.${extension}`, import.meta.url), { workerData: request });
  // A stopping instance does not wait for it.
  thread.unref();
  return new Promise((resolve, reject) => {
    thread.once('message', (m: MibReply) => (m.ok ? resolve() : reject(new Error(m.message))));
    thread.once('error', reject);
    thread.once('exit', (code) => reject(new Error(`the compiler ended with ${code}`)));
  });
}

/** Removes tables that nobody needs any more: all but this one and the one before it. */
function forget(dir: string, key: string): void {
  const keys = [...new Set(readdirSync(dir).map((f) => f.replace(/\.[a-z.]+$/, '')))].filter((k) => k !== key);
  if (keys.length < KEEP) return;
  for (const file of readdirSync(dir)) if (!file.startsWith(key)) rmSync(join(dir, file), { force: true });
}
