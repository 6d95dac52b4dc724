// Builds elements. What comes from the broker only ever becomes text or a checked attribute:
// there is no way from data to markup, and the Content-Security-Policy would not run it either.

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element: `h('a', { class: 'x', href: '#/', onclick: f }, 'text', child, null)`. */
export const h = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** The same for SVG. */
export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** Replaces what is in `element`. */
export function put(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** Sets the text of an element only if it differs, so that selections and readers are left alone. */
export function say(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Takes the names apart that try to look like something else: control, bidirectional and
 *  zero-width characters are shown by their number, and the rest is isolated from its surroundings. */
export function name(text, attributes) {
  const raw = String(text ?? '');
  const parts = raw.split(INVISIBLE).map((part, index) =>
    index % 2 ? h('span', { class: 'odd' }, code(part)) : part);
  return h('bdi', { class: 'name', title: plain(raw), ...attributes }, ...parts);
}

/** `name` where only text can be: titles, dialogs, `aria-label`. */
export const plain = (text) => String(text ?? '').replace(INVISIBLE, code);

// Control characters, soft hyphen, zero-width, bidirectional marks and overrides, tags, lone halves of pairs.
const INVISIBLE =
  /([\p{Cc}\p{Cf}\p{Cs}\u115f\u1160\u2028\u2029\u3164\uffa0])/gu;
const code = (all) => `‹${all.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}›`;

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) {
      if (typeof value !== 'function') throw new TypeError(`${key} takes a function`);
      element.addEventListener(key.slice(2), value);
    } else if (key === 'value' || key === 'checked' || key === 'disabled' || key === 'selected') {
      element[key] = value;
    } else if (key === 'href' && !/^(#|\/(?!\/))/.test(value)) {
      throw new TypeError(`a link leads within the console, not to ${value}`);
    } else if (key === 'style' || key === 'srcdoc') {
      throw new TypeError(`${key} is not set from here`);
    } else {
      element.setAttribute(key, value === true ? '' : String(value));
    }
  }
  element.append(...nodes(children));
  return element;
}

const nodes = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
