/** Small tools for the document. */

/**
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element ${id}`);
  return element;
}

/**
 * Makes an element. Texts are texts: nothing that a device or a file says becomes markup.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on…` are listeners, `class` and others attributes, undefined ones are left out
 * @param {...(Node | string | undefined)} children
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Sets a text only when it changes, so that screen readers and the browser rest. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

let toastTimer = 0;

/** A short message at the bottom. */
export function toast(text, tone = 'plain') {
  const element = byId('toast');
  element.textContent = text;
  element.dataset.tone = tone;
  element.classList.add('on');
  clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => element.classList.remove('on'), tone === 'bad' ? 8000 : 4000);
}

/** The value of a colour of the style sheet. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Sizes a canvas for its box and the screen; returns its size in CSS pixels, or undefined when nothing changed. */
export function fitCanvas(canvas, box) {
  const { width, height } = box.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  const wide = Math.max(1, Math.round(width * scale));
  const high = Math.max(1, Math.round(height * scale));
  if (canvas.width === wide && canvas.height === high) return undefined;
  canvas.width = wide;
  canvas.height = high;
  return { width, height, scale };
}
