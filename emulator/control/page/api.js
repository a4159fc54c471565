/** The control API as functions. Errors are `Error`s with the server's message, its `code` and its `status`. */

/**
 * @param {string} path
 * @param {{ method?: string, json?: unknown, body?: BodyInit, headers?: Record<string, string> }} [options]
 */
async function call(path, { method, json, body, headers } = {}) {
  const content = json === undefined ? body : JSON.stringify(json);
  const response = await fetch(path, {
    method: method ?? (content === undefined ? 'GET' : 'POST'),
    ...(content === undefined ? {} : { body: content }),
    ...(headers ? { headers } : {}),
    cache: 'no-store',
  });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: { message: `status ${response.status}` } }));
  throw Object.assign(new Error(error.message), { code: error.code, status: response.status });
}

const json = async (path, options) => (await call(path, options)).json();
const bytes = async (path) => new Uint8Array(await (await call(path)).arrayBuffer());

export const api = {
  device: () => json('/api/device'),
  map: () => json('/api/flash/map'),
  /** @param {number} address @param {number} length @param {string} [snapshot] */
  flash: (address, length, snapshot) =>
    bytes(`/api/flash?address=${address}&length=${length}${snapshot === undefined ? '' : `&snapshot=${snapshot}`}`),
  rtc: () => bytes('/api/rtc'),
  command: () => json('/api/rtc/command'),
  power: (on) => json('/api/power', { json: { on } }),
  reset: (cause = 'external') => json('/api/reset', { json: { cause } }),
  pins: () => json('/api/straps'),
  straps: (levels) => json('/api/straps', { method: 'PUT', json: levels }),
  clock: (change) => json('/api/clock', { json: change }),
  step: () => json('/api/step', { json: {} }),
  type: (text) => json('/api/serial', { body: Uint8Array.from(text, (char) => char.charCodeAt(0) & 0xff) }),
  faults: () => json('/api/faults'),
  arm: (spec) => json('/api/faults', { json: { spec } }),
  disarm: () => json('/api/faults', { method: 'DELETE' }),
  snapshots: () => json('/api/snapshots'),
  save: (name) => json('/api/snapshots', { json: { name } }),
  restore: (id, start) => json(`/api/snapshots/${id}/restore`, { json: { start } }),
  forget: (id) => json(`/api/snapshots/${id}`, { method: 'DELETE' }),
  inspect: (file) => json('/api/inspect', { method: 'POST', body: file }),
  /** @param {Blob} file @param {{ via: string, target: string, name: string, user?: string, password?: string }} how */
  upload: (file, { via, target, name, user, password }) =>
    json(`/api/upload?${new URLSearchParams({ via, target, name })}`, {
      method: 'POST',
      body: file,
      headers: {
        ...(user ? { 'X-Device-User': user } : {}),
        ...(password ? { 'X-Device-Password': password } : {}),
      },
    }),
};
