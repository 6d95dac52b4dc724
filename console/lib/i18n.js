// Words in the reader's language. Both dictionaries have the same keys, and every key that is
// used: the tests see to it, reading the literal keys of t('…') and the prefixes of word('…').

const LANGUAGES = ['en', 'ko'];
let current = 'en';
let words = {};
let english = {};

/** The language in use. */
export const language = () => current;

/** The same with the reader's region, where the browser knows one: days and months change places. */
export const locale = () =>
  (navigator.languages ?? []).find((tag) => tag === current || tag.startsWith(`${current}-`)) ?? current;

/** Loads the dictionary the reader chose, or the browser asks for. */
export async function start() {
  let chosen = remembered();
  if (!LANGUAGES.includes(chosen)) {
    const asked = navigator.languages ?? [navigator.language];
    chosen = asked.map((tag) => tag.slice(0, 2)).find((tag) => LANGUAGES.includes(tag)) ?? 'en';
  }
  english = await load('en');
  await speak(chosen, false);
}

/** Changes the language; the caller draws again. */
export async function speak(chosen, remember = true) {
  words = chosen === 'en' ? english : await load(chosen);
  current = chosen;
  document.documentElement.lang = chosen;
  if (remember) localStorage.setItem('bongsu.language', chosen);
}

/** The text of a key, with `{name}` filled in; `{name:one|more}` is the word for that many. Texts
 *  are text: nothing in them is markup. */
export function t(key, values = {}) {
  const text = words[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (whole, name, one, more) => {
    if (!(name in values)) return whole;
    const value = String(values[name]);
    return one === undefined ? value : value === '1' ? one : more;
  });
}

/** A word of the broker's, such as a state: in the reader's language if known, else as it is. */
export function word(prefix, name, values, otherwise = name) {
  const key = `${prefix}.${name}`;
  return key in words ? t(key, values) : String(otherwise ?? '');
}

const load = async (chosen) => (await fetch(`/console/locales/${chosen}.json`)).json();

function remembered() {
  try {
    return localStorage.getItem('bongsu.language');
  } catch {
    return null; // Storage can be forbidden; the choice then lasts until the page is left.
  }
}
