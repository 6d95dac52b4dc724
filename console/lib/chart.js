// Line charts over time: axes with units, a legend that is also the read-out, a marker that
// follows the pointer or, with the focus on the chart, the arrow keys.

import { h, put, say, svg } from './dom.js';
import { clock, DASH, moment } from './format.js';
import { t } from './i18n.js';

const HEIGHT = 190;
const SPACE = { top: 10, right: 12, bottom: 24, left: 58 };

/**
 * `series`: `{ key, title, colour: 1…6, dashed }`; `format` words a value of the axis, which ends at
 * a whole number, or at a power of two for bytes; `limit()` is drawn across.
 * `show(points)` draws points `{ at, [key]: number }` in order of time.
 */
export function chart({ title, series, format, whole = false, binary = false, limit }) {
  let points = [];
  let picked = null;
  let width = 0;
  let scale = null;
  const hidden = new Set();

  const drawing = svg('svg', { height: HEIGHT, width: '100%', 'aria-hidden': 'true' });
  const when = h('span', { class: 'when' });
  const values = new Map();
  const legend = h('div', { class: 'legend' }, series.map((line) => {
    const value = h('b', {}, DASH);
    values.set(line.key, value);
    return h('button', {
      type: 'button', 'aria-pressed': 'true', class: `key colour-${line.colour}${line.dashed ? ' dashed' : ''}`,
      onclick: (event) => toggle(line.key, event.currentTarget),
    }, h('i', {}), line.title, ' ', value);
  }), when);
  const plot = h('div', {
    class: 'plot', tabindex: '0', role: 'group', 'aria-label': t('chart.label', { title }),
    onpointermove: (event) => pick(event.clientX - plot.getBoundingClientRect().left),
    onpointerleave: () => choose(null), onblur: () => choose(null), onkeydown: keys,
  }, drawing);
  const spoken = h('p', { class: 'unseen', 'aria-live': 'polite' });
  const element = h('figure', { class: 'chart card' }, h('figcaption', {}, title), plot, legend, spoken);

  function toggle(key, button) {
    hidden.has(key) ? hidden.delete(key) : hidden.add(key);
    button.setAttribute('aria-pressed', String(!hidden.has(key)));
    draw();
  }

  function keys(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || points.length === 0) return;
    event.preventDefault();
    const from = picked ?? points.length - (step < 0 ? 0 : 1);
    choose(Math.max(0, Math.min(points.length - 1, from + step)));
    say(spoken, [moment(points[picked].at), ...series.map((line) => `${line.title} ${format(points[picked][line.key])}`)].join(', '));
  }

  function pick(x) {
    if (!scale) return;
    let best = 0;
    points.forEach((point, index) => {
      if (Math.abs(scale.x(point.at) - x) < Math.abs(scale.x(points[best].at) - x)) best = index;
    });
    choose(points.length ? best : null);
  }

  function choose(index) {
    picked = index;
    readOut();
    mark();
  }

  function readOut() {
    const point = points[picked ?? points.length - 1];
    for (const [key, value] of values) say(value, point ? format(point[key]) : DASH);
    say(when, picked === null || !point ? '' : clock(point.at, true));
  }

  const marker = svg('g', { class: 'marker' });
  function mark() {
    const point = picked === null ? null : points[picked];
    if (!point || !scale) return put(marker);
    const x = scale.x(point.at);
    return put(marker,
      svg('line', { x1: x, x2: x, y1: SPACE.top, y2: HEIGHT - SPACE.bottom }),
      series.filter((line) => !hidden.has(line.key) && Number.isFinite(point[line.key])).map((line) =>
        svg('circle', { cx: x, cy: scale.y(point[line.key]), r: 4, class: `colour-${line.colour}` })));
  }

  function draw() {
    if (!width) return;
    const shown = series.filter((line) => !hidden.has(line.key));
    const tops = shown.flatMap((line) => points.map((point) => point[line.key] ?? 0));
    // A limit that is far away would press what is measured to the ground.
    const most = Math.max(0, ...tops);
    const near = [limit?.()].filter((value) => Number.isFinite(value) && value <= most * 4);
    const top = ceiling(Math.max(most, ...near), whole, binary);
    const now = points.at(-1)?.at ?? Date.now();
    const first = Math.min(points[0]?.at ?? now, now - 60_000);
    scale = {
      x: (at) => SPACE.left + ((at - first) / (now - first)) * (width - SPACE.left - SPACE.right),
      y: (value) => HEIGHT - SPACE.bottom - (value / top) * (HEIGHT - SPACE.top - SPACE.bottom),
    };
    put(drawing, grid(top, first, now), limitLine(top), shown.map(lineOf), marker);
    mark();
    readOut();
  }

  function grid(top, first, now) {
    const steps = [0, 1, 2, 3, 4].map((step) => (top * step) / 4);
    const times = Math.max(2, Math.min(6, Math.floor(width / 110)));
    const span = now - first;
    return svg('g', { class: 'grid' },
      steps.map((value) => [
        svg('line', { x1: SPACE.left, x2: width - SPACE.right, y1: scale.y(value), y2: scale.y(value) }),
        svg('text', { x: SPACE.left - 8, y: scale.y(value) + 4, 'text-anchor': 'end' }, format(value)),
      ]),
      Array.from({ length: times }, (_, index) => {
        const at = first + (span * index) / (times - 1);
        const anchor = index === 0 ? 'start' : index === times - 1 ? 'end' : 'middle';
        return svg('text', { x: scale.x(at), y: HEIGHT - 6, 'text-anchor': anchor }, clock(at, span < 600_000));
      }));
  }

  function limitLine(top) {
    const value = limit?.();
    if (!Number.isFinite(value) || value > top) return null;
    return svg('line', { class: 'limit', x1: SPACE.left, x2: width - SPACE.right, y1: scale.y(value), y2: scale.y(value) });
  }

  /** A gap in the points is a gap in the line; a point between two gaps is a dot. */
  function lineOf(line) {
    const has = (index) => Number.isFinite(points[index]?.[line.key]);
    let path = '';
    let dots = '';
    points.forEach((point, index) => {
      if (!has(index)) return;
      const place = `${scale.x(point.at).toFixed(1)} ${scale.y(point[line.key]).toFixed(1)}`;
      if (has(index - 1)) path += `L${place}`;
      else if (has(index + 1)) path += `M${place}`;
      else dots += `M${place}h.01`;
    });
    const kind = `line colour-${line.colour}`;
    return [path && svg('path', { d: path, class: `${kind}${line.dashed ? ' dashed' : ''}` }), dots && svg('path', { d: dots, class: `${kind} dots` })]
      .filter(Boolean);
  }

  new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width);
    draw();
  }).observe(plot);
  return {
    element,
    show(next) {
      points = next;
      if (picked !== null && picked >= points.length) picked = null;
      draw();
    },
  };
}

/** The next round number: quarters of it are round too. */
function ceiling(value, whole, binary) {
  if (binary) return 2 ** Math.ceil(Math.log2(Math.max(value, 1024)));
  if (value <= (whole ? 4 : 0)) return whole ? 4 : 1;
  const magnitude = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 8, 10].map((factor) => factor * magnitude).find((round) => round >= value);
}
