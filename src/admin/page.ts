/** The web page of `admin.api`: one document, nothing from elsewhere. What it shows comes from devices, so it is only ever set as text. */
import { createHash } from 'node:crypto';

const STYLE = `
:root { color-scheme: light dark; --line: #8886; --ok: #2a8a3e; --warn: #b57500; --bad: #c62828; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
header, form, .row { display: flex; gap: .8rem; align-items: center; flex-wrap: wrap; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.full { color: var(--ok); } .degraded { color: var(--warn); } .dead, .bad { color: var(--bad); } .grade { font-weight: 700; }
pre { border: 1px solid var(--line); padding: .5rem; height: 16rem; overflow: auto; font-size: 12px; white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; }
[hidden] { display: none; }
`;

const SCRIPT = String.raw`
'use strict';
const $ = (id) => document.getElementById(id);
let token = sessionStorage.getItem('token') || '';
let timer;
let following;

const call = (path, more) => fetch(path, { ...more, headers: token ? { authorization: 'Bearer ' + token } : {} });

async function json(path, more) {
  const r = await call(path, more);
  if (!r.ok) throw Object.assign(new Error((await r.json()).error), { status: r.status });
  return r.json();
}

function el(tag, text, cls) {
  const e = document.createElement(tag);
  e.textContent = text;
  if (cls) e.className = cls;
  return e;
}

function table(id, head, rows) {
  const t = el('table', '');
  const tr = el('tr', '');
  for (const h of head) tr.append(el('th', h));
  t.append(tr);
  for (const row of rows) {
    const line = el('tr', '');
    for (const c of row) line.append(el('td', c && c.text !== undefined ? c.text : c === undefined || c === null ? '' : String(c), c && c.cls));
    t.append(line);
  }
  $(id).replaceChildren(rows.length ? t : el('p', 'none'));
}

const size = (n) => (n < 1024 ? n + ' B' : n < 1048576 ? (n / 1024).toFixed(1) + ' KiB' : n < 1073741824 ? (n / 1048576).toFixed(1) + ' MiB' : (n / 1073741824).toFixed(2) + ' GiB');
const brief = (v) => (Array.isArray(v) ? v.length : v !== null && typeof v === 'object' ? JSON.stringify(v) : v);
const when = (ms) => (ms ? new Date(ms).toISOString() : '');
const bad = (text) => ({ text, cls: 'bad' });

function show(s) {
  const lb = s.lb || {};
  const d = lb.decision || { grade: 'dead', reasons: [] };
  $('title').textContent = 'tidegate ' + s.version + ' · ' + s.node + ' · ' + s.site;
  $('grade').textContent = d.grade + (lb.draining ? ' (draining)' : '');
  $('grade').className = 'grade ' + d.grade;
  const reasons = [...d.reasons, ...(s.ready || []).map((r) => 'not ready: ' + r), ...(s.silent || []).map((n) => n + ' does not answer')];
  $('reasons').replaceChildren(...reasons.map((r) => el('li', r)));
  table('vips', ['VIP', 'address', 'announced', 'interface', 'last packet', ''], (lb.vips || []).map((v) =>
    [v.name, v.address, v.announced ? 'yes' : bad('no'), v.interface, when(v.last_packet), v.error ? bad(v.error) : '']));
  table('peers', ['peer', 'state', 'established since', ''], (lb.peers || []).map((p) =>
    [p.address || p.peer, p.state === 'Established' ? p.state : bad(p.state), when(p.established_since), p.last_down && p.state !== 'Established' ? bad(brief(p.last_down)) : '']));
  const workers = s.workers || [];
  table('workers', ['worker', 'pid', 'restarts', 'spool', 'not exported', 'problems'], workers.map((w) => {
    const all = Object.values(w.spool || {});
    const sum = (k) => size(all.reduce((a, c) => a + c[k], 0));
    return [w.index, w.pid, w.restarts, sum('bytes'), sum('unexported'), bad([...w.hard, ...w.soft].join('; '))];
  }));
  table('collectors', ['worker', 'collector', ''], workers.flatMap((w) => Object.entries(w.collectors || {}).map(([name, c]) =>
    [w.index, name, Object.entries(c).map(([k, v]) => k + ' ' + brief(v)).join(', ')])));
  table('exporters', ['worker', 'exporter', '', 'acked', 'retried', 'quarantined', 'problems'], workers.flatMap((w) => (w.exporters || []).map((e) =>
    [w.index, e.exporter, e.up ? 'up' : bad('down'), e.acked, e.retried, e.quarantined, bad(e.problems.map((p) => (p.topic || 'all topics') + ': ' + p.problem + ': ' + p.fix).join('; '))])));
  table('counters', ['counter', ''], Object.entries(s.counters || {}).filter(([, v]) => v).map(([k, v]) => [k, v]));
}

function loggedOut(message) {
  clearTimeout(timer);
  unfollow();
  sessionStorage.removeItem('token');
  $('main').hidden = true;
  $('login').hidden = false;
  $('message').textContent = message || '';
}

async function poll() {
  clearTimeout(timer);
  try {
    show(await json('/api/v1/status'));
    $('problem').textContent = '';
  } catch (e) {
    if (e.status === 401) return loggedOut('The login is no longer valid.');
    $('problem').textContent = 'No answer: ' + e.message;
  }
  timer = setTimeout(poll, 2000);
}

async function start(first) {
  try {
    const me = await json('/api/v1/me');
    if (token) sessionStorage.setItem('token', token);
    $('me').textContent = me.name + ' (' + me.role + ')';
    $('actions').hidden = me.role === 'viewer';
    $('login').hidden = true;
    $('main').hidden = false;
    poll();
  } catch (e) {
    loggedOut(first && !token ? '' : e.message);
  }
}

function unfollow() {
  if (following) following.abort();
  following = undefined;
  $('follow').textContent = 'Follow';
}

async function follow() {
  const mine = (following = new AbortController());
  $('follow').textContent = 'Stop';
  const lines = [];
  try {
    const q = new URLSearchParams();
    for (const k of ['type', 'device']) if ($(k).value) q.set(k, $(k).value);
    const r = await call('/api/v1/tap?' + q, { signal: mine.signal });
    if (!r.ok) throw new Error((await r.json()).error);
    const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split('\n');
      rest = parts.pop();
      lines.push(...parts.slice(-200));
      lines.splice(0, lines.length - 200);
      $('events').textContent = lines.join('\n');
      $('events').scrollTop = $('events').scrollHeight;
    }
  } catch (e) {
    if (e.name !== 'AbortError') $('events').textContent = e.message;
  }
  if (following === mine) unfollow();
}

const change = (verb) => json('/api/v1/lb/' + verb, { method: 'POST' }).then(poll, (e) => { $('problem').textContent = e.message; });
$('login').onsubmit = (e) => { e.preventDefault(); token = $('token').value.trim(); $('token').value = ''; start(false); };
$('logout').onclick = () => { token = ''; loggedOut(''); };
$('follow').onclick = () => (following ? unfollow() : follow());
$('drain').onclick = () => { if (confirm('Announce this node worse, so that traffic moves away?')) change('drain'); };
$('undrain').onclick = () => change('undrain');
start(true);
`;

export const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>tidegate</title>
<style>${STYLE}</style></head><body>
<form id="login" hidden><h1>tidegate</h1><label>Token <input id="token" type="password" autocomplete="off" required></label><button>Log in</button><span id="message" class="bad" role="alert"></span></form>
<div id="main" hidden>
<header><h1 id="title"></h1><span id="grade" class="grade"></span><span id="me"></span><button id="logout">Log out</button>
<span id="actions" hidden><button id="drain">Drain</button> <button id="undrain">Undrain</button></span></header>
<p id="problem" class="bad" role="alert"></p><ul id="reasons"></ul>
<h2>VIPs</h2><div id="vips"></div><h2>BGP peers</h2><div id="peers"></div><h2>Workers</h2><div id="workers"></div>
<h2>Collectors</h2><div id="collectors"></div><h2>Exporters</h2><div id="exporters"></div><h2>Counters</h2><div id="counters"></div>
<h2>Events</h2><div class="row"><label>Type <input id="type" placeholder="snmp.*"></label><label>Device <input id="device"></label><button id="follow">Follow</button></div>
<pre id="events" tabindex="0"></pre></div>
<script>${SCRIPT}</script></body></html>
`;

const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

export const PAGE_CSP = `default-src 'none'; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
