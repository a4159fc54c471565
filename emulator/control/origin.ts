/**
 * Who may drive the device: programs of this machine, and the page that this server itself sent. Not a page on the web, also
 * when its name leads to 127.0.0.1 (DNS rebinding): then `Host` is foreign. Contract: design.md §6.
 */

/** Header names are lower-case, as node:http gives them. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Names of the loopback interface that may stand in `Host`. */
const OWN_NAMES = ['127.0.0.1', 'localhost', '[::1]'];

/**
 * @param port where this server listens
 * @returns why the request is refused, or undefined
 */
export function refusal(headers: RequestHeaders, port: number): string | undefined {
  const host = headers['host'];
  if (typeof host !== 'string' || !isOwn(host, port)) {
    return `Host "${shown(host)}" is not this server: use http://127.0.0.1:${port}`;
  }
  const origin = headers['origin'];
  if (origin !== undefined && (typeof origin !== 'string' || origin.toLowerCase() !== `http://${host.toLowerCase()}`)) {
    return `Origin "${shown(origin)}" may not use this server; only its own page and programs of this machine may`;
  }
  // Requests without Origin (images, scripts, links) tell here where they come from, in browsers since 2023.
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return undefined;
  if (headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document') return undefined;
  return `a page of another site (Sec-Fetch-Site: ${shown(site)}) may not use this server`;
}

function isOwn(host: string, port: number): boolean {
  const lower = host.toLowerCase();
  return OWN_NAMES.some((name) => lower === `${name}:${port}` || (port === 80 && lower === name));
}

/** What a stranger sent, fit to be shown: printable ASCII of limited length. */
const shown = (value: unknown): string =>
  String(value ?? '')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 80);
