// The routing graph: an exchange, its bindings, what they lead to, and what exchanges lead on to.
// Drawn in layers from left to right; every node is a link, so the Tab key walks the picture.
// It asks for at most EXCHANGES_MAX exchanges' bindings and draws a few nodes until asked for more.

import { find, path } from '../lib/api.js';
import { h, plain, put, svg } from '../lib/dom.js';
import { count } from '../lib/format.js';
import { t } from '../lib/i18n.js';

const EXCHANGES_MAX = 30;
const DEPTH_MAX = 5;
const NODES_FIRST = 24;
const NODES_MORE = 50;
const LABEL_MAX = 200;
const NODE = { width: 190, height: 34 };
const STEP = { x: 400, y: 48 };
/** The straight end of an edge, which its label stands on. */
const STUB = 150;

/** The drawing of what leaves `exchange`. */
export async function routingGraph({ space, exchange, type, bindings, signal }) {
  const graph = await gather({ space, exchange, type, bindings, signal });
  let shown = NODES_FIRST;
  const place = h('div', { class: 'graph' });
  const redraw = () => put(place, drawing(graph, shown, space), graph.nodes.length > shown
    ? h('button', { type: 'button', onclick: () => { shown += NODES_MORE; redraw(); } }, t('graph.more', { count: count(graph.nodes.length - shown) })) : null);
  redraw();
  return place;
}

async function gather({ space, exchange, type, bindings, signal }) {
  const root = { key: `e${exchange}`, kind: 'exchange', name: exchange, type, depth: 0 };
  const nodes = new Map([[root.key, root]]);
  const edges = new Map();
  const todo = [[root, bindings]];
  let asked = 1;
  for (const [from, list] of todo) {
    for (const binding of list) {
      const kind = binding.destination_type === 'queue' ? 'queue' : 'exchange';
      const key = `${kind[0]}${binding.destination}`;
      if (!nodes.has(key)) {
        const node = { key, kind, name: binding.destination, depth: from.depth + 1 };
        nodes.set(key, node);
        if (kind === 'exchange' && node.depth < DEPTH_MAX && asked < EXCHANGES_MAX) {
          asked += 1;
          todo.push([node, (await find(path`/api/exchanges/${space}/${node.name}/bindings/source`, { signal })) ?? []]);
        }
      }
      const edge = edges.get(`${from.key}\n${key}`) ?? { from: from.key, to: key, labels: [] };
      edge.labels.push(labelOf(binding));
      edges.set(`${from.key}\n${key}`, edge);
    }
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] };
}

const labelOf = (binding) => {
  const given = Object.entries(binding.arguments ?? {});
  return [binding.routing_key, given.length ? given.map(([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : value}`).join(' ') : '']
    .filter(Boolean).join(' · ');
};

function drawing(graph, most, space) {
  const nodes = graph.nodes.slice(0, most);
  const layers = [];
  for (const node of nodes) (layers[node.depth] ??= []).push(node);
  for (const layer of layers) layer.sort((a, b) => a.kind.localeCompare(b.kind) || 0);
  const rows = Math.max(...layers.map((layer) => layer.length));
  const height = rows * STEP.y + 24;
  const width = (layers.length - 1) * STEP.x + NODE.width + 8;
  const places = new Map();
  layers.forEach((layer, depth) => layer.forEach((node, index) => {
    // From the top: the middle of a long layer would put the first exchange out of sight.
    places.set(node.key, { x: 4 + depth * STEP.x, y: 4 + STEP.y * (index + 0.5) });
  }));
  const edges = graph.edges.filter((edge) => places.has(edge.from) && places.has(edge.to));
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': t('exchange.graph') },
    svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': t('graph.label', { count: count(edges.length) }) },
      edges.map((edge) => edgeOf(edge, places)), nodes.map((node) => nodeOf(node, places.get(node.key), space))));
}

function edgeOf(edge, places) {
  const from = places.get(edge.from);
  const to = places.get(edge.to);
  const back = to.x <= from.x;
  const x1 = from.x + NODE.width;
  const x2 = to.x - 7;
  const turn = x2 - STUB;
  const bend = (turn - x1) / 2;
  const text = edge.labels.filter(Boolean).map(plain).join(', ');
  const more = edge.labels.length > 1 ? ` (${count(edge.labels.length)})` : '';
  if (back) return circle(from, to, text);
  return svg('g', { class: 'edge' },
    svg('path', { d: `M${x1} ${from.y}C${x1 + bend} ${from.y} ${turn - bend} ${to.y} ${turn} ${to.y}H${x2}` }),
    svg('path', { class: 'tip', d: `M${x2 + 7} ${to.y}l-8 -4.500v9z` }),
    text ? svg('text', { x: x2 - 6, y: to.y - 5, 'text-anchor': 'end' }, svg('title', {}, clip(text, 1000)), fit(text, STUB - 12 - (more ? 20 : 0), 400) + more) : null);
}

/** An edge that leads back: below the nodes, from the one's foot to the other's. */
function circle(from, to, text) {
  const half = NODE.height / 2;
  const [x1, x2] = [from.x + NODE.width * 0.4, to.x + NODE.width * 0.6];
  const low = Math.max(from.y, to.y) + STEP.y * 0.9;
  return svg('g', { class: 'edge back' },
    svg('title', {}, clip(text, 1000)),
    svg('path', { d: `M${x1} ${from.y + half}C${x1} ${low} ${x2} ${low} ${x2} ${to.y + half + 7}` }),
    svg('path', { class: 'tip', d: `M${x2} ${to.y + half}l-4.500 8h9z` }));
}

function nodeOf(node, at, space) {
  const label = node.name === '' ? t('exchange.default') : plain(node.name);
  const href = `#/${node.kind === 'queue' ? 'queues' : 'exchanges'}/${encodeURIComponent(space)}/${encodeURIComponent(node.name || 'amq.default')}`;
  const y = at.y - NODE.height / 2;
  const shown = fit(label, NODE.width - 18, 550);
  return svg('a', { href, class: `node ${node.kind}`, 'aria-label': `${node.kind === 'queue' ? t('kind.queue') : t('field.exchange')} ${shown}` },
    svg('title', {}, label),
    svg('rect', { x: at.x, y, width: NODE.width, height: NODE.height, rx: node.kind === 'queue' ? 5 : 17 }),
    svg('text', { x: at.x + NODE.width / 2, y: at.y + 4.5, 'text-anchor': 'middle' }, shown));
}

const pen = document.createElement('canvas').getContext('2d');

/** As much of a text as there is room for, in pixels. */
function fit(text, room, weight) {
  pen.font = `${weight} ${weight > 400 ? 13 : 12}px ${getComputedStyle(document.body).fontFamily}`;
  const letters = [...text].slice(0, LABEL_MAX);
  if (letters.length === [...text].length && pen.measureText(text).width <= room) return text;
  while (letters.length > 1 && pen.measureText(`${letters.join('')}…`).width > room) letters.pop();
  return `${letters.join('')}…`;
}

const clip = (text, most) => {
  const letters = [...text];
  return letters.length > most ? `${letters.slice(0, most - 1).join('')}…` : text;
};
