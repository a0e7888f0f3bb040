/** Preloaded (NODE_OPTIONS=--import) into every process and thread of a profiled program: some seconds of its steady state as a .cpuprofile. */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { basename } from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const { PROFILE_DIR: dir, PROFILE_AFTER_MS: after = '9000', PROFILE_MS: during = '4000' } = process.env;
/** Collections by kind (perf_hooks constants), and their milliseconds. */
const gc = {};
const session = new Session();
session.connect();
setTimeout(() => {
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: 500 });
  session.post('Profiler.start');
  const observer = new PerformanceObserver((list) => {
    for (const e of list.getEntries()) {
      const g = (gc[`${e.detail.kind}/${e.detail.flags}`] ??= { count: 0, ms: 0 });
      g.count++;
      g.ms += e.duration;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  setTimeout(() => {
    session.post('Profiler.stop', (error, { profile }) => {
      const name = isMainThread ? basename(process.argv[1] ?? 'node', '.ts') : 'thread';
      if (error) return;
      writeFileSync(`${dir}/${name}-${process.pid}.cpuprofile`, JSON.stringify(profile));
      writeFileSync(`${dir}/${name}-${process.pid}.memory.json`, JSON.stringify({ gc, ...process.memoryUsage() }));
      observer.disconnect();
      session.disconnect();
    });
  }, Number(during)).unref();
}, Number(after)).unref();
