/*
 * Keeps the page as it was served up to date, and draws the curves.
 *
 * The words are the server's: every few seconds the page is fetched again, and what is marked
 * data-live is taken over. The curves are SVG made here, of four lines each at most: a library
 * would be larger than all of this.
 */
'use strict';

const STATE_MS = 2000, CURVES_MS = 10000, LIMIT_MS = 8000;
const HEIGHT = 170, LEFT = 56, RIGHT = 8, TOP = 8, BOTTOM = 20;

async function get(url, type) {
  const answer = await fetch(url, { headers: { Accept: type }, cache: 'no-store', signal: AbortSignal.timeout(LIMIT_MS) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.text();
}

/* ---- the state ---- */

async function takeState() {
  const fresh = new DOMParser().parseFromString(await get('/', 'text/html'), 'text/html');
  const parts = fresh.querySelectorAll('[data-live]');
  if (parts.length !== document.querySelectorAll('[data-live]').length) location.reload();
  for (const part of parts) {
    const shown = document.getElementById(part.id);
    if (shown && shown.innerHTML !== part.innerHTML) shown.replaceChildren(...part.childNodes);
  }
}

/* ---- the curves ---- */

const exact = (n) => n.toLocaleString('en', { maximumFractionDigits: n < 10 ? 1 : 0 });

/* As pg2any status says it. */
function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let u = 0;
  for (; n >= 1024 && u < 4; u++) n /= 1024;
  return `${n.toFixed(n < 10 && u > 0 ? 1 : 0)} ${units[u]}`;
}

/* The end of an axis, that its half is a round number, too. */
function roundUp(n, base) {
  let unit = 1;
  while (unit * base <= n) unit *= base;
  const steps = base === 1024 ? [1, 2, 4, 10, 20, 40, 100, 200, 400, 1000, 1024] : [1, 2, 4, 6, 10];
  return unit * (steps.find((s) => s * unit >= n) ?? base);
}

function element(name, attributes, ...children) {
  const svg = ['svg', 'path', 'line', 'text', 'title'].includes(name);
  const e = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

const clock = (s) => new Date(s * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
const known = (values) => values.filter((v) => v !== null);
const most = (values) => (known(values).length ? Math.max(...known(values)) : null);

/* A line with gaps where nothing is known; one sample alone is a dot. */
function pathOf(values, x, y) {
  let d = '', pen = false;
  values.forEach((v, i) => {
    if (v !== null) d += `${pen ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v).toFixed(1)}${pen ? '' : 'h.1'}`;
    pen = v !== null;
  });
  return d;
}

function drawing(chart, history, width) {
  const base = chart.unit === bytes ? 1024 : 10;
  const top = roundUp(Math.max(base === 1024 ? 1024 : 1, chart.limit, ...chart.lines.flatMap((l) => known(l.values))), base);
  const n = Math.max(0, ...chart.lines.map((l) => l.values.length));
  const span = history.most_samples - 1;
  const x = (i) => width - RIGHT - ((n - 1 - i) / span) * (width - LEFT - RIGHT);
  const y = (v) => HEIGHT - BOTTOM - (v / top) * (HEIGHT - TOP - BOTTOM);
  const svg = element('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, 'aria-hidden': 'true' });
  for (const v of [0, top / 2, top])
    svg.append(element('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(v), y2: y(v) }),
      element('text', { x: LEFT - 6, y: y(v) + 4, 'text-anchor': 'end' }, chart.unit(v)));
  for (const part of [0, 1 / 3, 2 / 3, 1])
    svg.append(element('text', { x: LEFT + part * (width - LEFT - RIGHT), y: HEIGHT - 5, 'text-anchor': part === 0 ? 'start' : part === 1 ? 'end' : 'middle' },
      clock(history.end - (1 - part) * span * history.step_seconds)));
  if (chart.limit) svg.append(element('line', { class: 'budget', x1: LEFT, x2: width - RIGHT, y1: y(chart.limit), y2: y(chart.limit) }));
  chart.lines.forEach((l, i) => svg.append(element('path', { class: `curve c${i % 4}`, d: pathOf(l.values, x, y) })));
  return svg;
}

/* What the lines show, for those who do not see them: the most of each five minutes. */
function tableOf(chart, history) {
  const per = Math.round(300 / history.step_seconds), n = Math.max(0, ...chart.lines.map((l) => l.values.length));
  const say = (v) => (v === null ? 'not known' : chart.unit(v));
  const rows = [];
  for (let end = n; end > 0; end -= per) {
    const from = Math.max(0, end - per);
    rows.push(element('tr', {}, element('th', { scope: 'row' }, clock(history.end - (n - from) * history.step_seconds)),
      ...chart.lines.map((l) => element('td', {}, say(most(l.values.slice(from, end)))))));
  }
  return element('table', {}, element('caption', {}, `${chart.title}: the most in five minutes from then on`),
    element('thead', {}, element('tr', {}, element('th', { scope: 'col' }, 'From'),
      ...chart.lines.map((l) => element('th', { scope: 'col' }, l.name || 'Most')))),
    element('tbody', {}, ...rows));
}

function captionOf(chart) {
  const caption = element('figcaption', {}, element('b', {}, chart.title));
  chart.lines.forEach((l, i) => {
    const last = l.values.at(-1) ?? null, peak = most(l.values);
    if (l.name)
      caption.append(element('svg', { class: 'key', viewBox: '0 0 28 12', 'aria-hidden': 'true' },
        element('path', { class: `curve c${i % 4}`, d: 'M0 6h28' })));
    caption.append(element('span', {}, `${l.name ? `${l.name}: ` : ''}${last === null ? 'not known now' : `${chart.unit(last)} now`}`
      + `${peak === null ? '' : `, ${chart.unit(peak)} at most`}. `));
  });
  if (chart.limit) caption.append(element('span', {}, `The budget is ${bytes(chart.limit)}.`));
  return caption;
}

function chartsOf(pipeline) {
  const h = pipeline.history;
  const lines = (key) => h.targets.map((t) => ({ name: h.targets.length > 1 ? t.stage : '', values: t[key] }));
  const chart = (title, unit, chartLines, limit = 0) => ({ title, unit, lines: chartLines, limit });
  return [
    chart('Lag in seconds', (n) => `${exact(n)} s`, lines('lag_seconds')),
    chart('Lag in WAL', bytes, lines('lag_bytes')),
    chart('Changes a second', exact, lines('changes_per_second')),
    chart('WAL that the slot keeps', bytes, [{ name: '', values: h.retained_wal_bytes }], pipeline.wal_budget_bytes),
  ];
}

let drawn = null;

/* The figures stay, for whoever has opened a table or stands on it; what is in them is made anew. */
function draw(status) {
  drawn = status;
  status.pipelines.forEach((pipeline, i) => {
    const place = document.querySelector(`.curves[data-pipeline="${i}"]`);
    if (!place) return;
    const h = pipeline.history;
    if (!place.firstChild)
      place.append(element('h3', {}, 'The last hour'), element('p', { class: 'dir' }), element('div', { class: 'charts' }));
    const [, since, charts] = place.children;
    since.textContent = `Known since ${clock(h.end - h.retained_wal_bytes.length * h.step_seconds)}.`;
    chartsOf(pipeline).forEach((chart, k) => {
      let figure = charts.children[k];
      if (!figure) {
        figure = element('figure', {}, element('figcaption', {}), element('svg', {}),
          element('details', {}, element('summary', {}, `${chart.title} as a table`), element('table', {})));
        charts.append(figure);
      }
      const [caption, svg, details] = figure.children;
      caption.replaceWith(captionOf(chart));
      svg.replaceWith(drawing(chart, h, Math.max(240, figure.clientWidth - 24)));
      details.lastChild.replaceWith(tableOf(chart, h));
    });
  });
}

/* ---- again and again ---- */

/* One at a time, and none while nobody looks. */
async function every(ms, what) {
  for (;;) {
    if (!document.hidden) {
      try {
        await what();
        document.getElementById('lost').textContent = '';
      } catch {
        document.getElementById('lost').textContent = 'No answer: what follows is what was last known.';
      }
    }
    await new Promise((go) => setTimeout(go, ms));
  }
}

addEventListener('resize', () => drawn && draw(drawn));
every(CURVES_MS, async () => draw(JSON.parse(await get('/status.json', 'application/json'))));
every(STATE_MS, takeState);
