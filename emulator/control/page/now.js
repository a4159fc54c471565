/** Where in its life the device is, in words: the line above the map, the status, and the banner when it is dead. */
import { SECTOR_BYTES } from './model.js';
import { areaWords, CURES, causeWords, count, deathWords, hex } from './words.js';

/** The stations of an update, in order. */
export const STATIONS = [
  ['off', 'off'],
  ['rom', 'ROM'],
  ['eboot', 'eboot'],
  ['app', 'application'],
  ['update', 'update'],
  ['restart', 'restart'],
];

/** @typedef {{ station: string, text: string, progress: number | undefined, status: string, tone: string }} Now */

/**
 * @param {import('./model.js').Model} model
 * @returns {Now}
 */
export function nowOf(model) {
  const { stage } = model;
  if (stage === 'off') return now('off', 'No power: what is in flash stays, RTC memory is lost.', 'off', 'quiet');
  if (stage === 'held')
    return now('off', 'Held in reset, as the snapshot was. Press the reset button to start.', 'held in reset', 'warn');
  if (stage === 'dead') return now(stationOfDeath(model), deathWords(model.death), 'dead', 'bad');
  if (stage === 'download')
    return now('rom', 'The serial loader of the ROM waits: GPIO0 was low at the reset.', 'serial loader', 'warn');
  if (stage === 'rom')
    return now('rom', 'The ROM looks at the straps and loads eboot from sector 0.', 'starting', 'accent');
  if (stage === 'eboot') return ebootNow(model);
  if (model.frozen) return now('app', `Frozen in ${model.frozen.where}: ${model.frozen.cure}`, 'frozen', 'warn');
  if (model.update && !model.update.done) return updateNow(model.update);
  if (model.update)
    return now(
      'restart',
      'The image is stored and checked, the eboot command is in RTC memory. Restarting.',
      'restarting',
      'accent',
    );
  return appNow(model);
}

/** @param {number} [progress] */
const now = (station, text, status, tone, progress) => ({ station, text, progress, status, tone });

function ebootNow({ eboot }) {
  const command = eboot?.command;
  if (!command) return now('eboot', 'eboot looks into RTC memory for a command.', 'in eboot', 'accent');
  const sectors = Math.ceil(command.size / SECTOR_BYTES);
  const done = Math.max(0, (eboot.sector ?? -1) + 1 - Math.floor(command.destination / SECTOR_BYTES));
  const at = Math.min(sectors, done + 1);
  const from = hex(command.source + (at - 1) * SECTOR_BYTES, 6);
  const to = hex(command.destination + (at - 1) * SECTOR_BYTES, 6);
  return now(
    'eboot',
    `eboot copies ${count(command.size)} bytes from ${hex(command.source, 6)} (${areaWords('staging')}) to ${hex(command.destination, 6)} (over the running image): sector ${at} of ${sectors}, ${from} → ${to}.`,
    'eboot copies',
    'accent',
    done / sectors,
  );
}

function updateNow({ command, size, address, written }) {
  const place = command === 'fs' ? 'file system' : 'staging area';
  return now(
    'update',
    `Receives a ${command === 'fs' ? 'file system' : 'sketch'}: ${count(written)} of ${count(size)} bytes, into the ${place} from ${hex(address, 6)} on. The old firmware still runs.`,
    'updating',
    'accent',
    size > 0 ? written / size : 0,
  );
}

function appNow({ app, lastError }) {
  if (!app) return now('app', 'The application starts.', 'starting', 'accent');
  const what = app.version ? `Version ${app.version}` : 'An application without manifest';
  const error = lastError ? ` Last: ${lastError}.` : '';
  if (app.identity === 'corrupt') return now('app', `A damaged application runs.${error}`, 'damaged', 'bad');
  return now(
    'app',
    `${what} runs (${count(app.size)} bytes, sketch ${app.sketch}).${error}`,
    app.version ? `running ${app.version}` : 'running',
    'good',
  );
}

const stationOfDeath = ({ death }) => (death.why === 'crash-loop' ? 'app' : 'rom');

/** What the banner says when the device is dead: why, and what revives it. */
export function banner(model) {
  const { death } = model;
  if (!death) return undefined;
  return { why: deathWords(death), detail: death.message ?? '', cure: CURES[death.cure] ?? '', kind: death.cure };
}

/** From which sector to which eboot copies now, for the arrow on the map. */
export function copying(model) {
  const command = model.eboot?.command;
  if (model.stage !== 'eboot' || !command) return undefined;
  const start = Math.floor(command.destination / SECTOR_BYTES);
  const at = Math.max(0, (model.eboot.sector ?? start - 1) + 1 - start);
  if (at * SECTOR_BYTES >= command.size) return undefined;
  return { from: Math.floor(command.source / SECTOR_BYTES) + at, to: start + at };
}

/** What a latched strap number makes the ROM do. */
function latchWords(strap) {
  if (strap === 1) return '1: serial loader';
  if (strap === 3) return '3: flash';
  return strap >= 4 ? `${strap}: waits for SDIO` : `${strap}: nothing`;
}

/** The facts on the board. */
export function facts(model) {
  const { device, app, addresses } = model;
  const rows = [];
  if (device)
    rows.push(['Chip', `${device.chip.name}, ${device.chip.capacityBytes / 0x100000} MiB`], ['Layout', device.layout]);
  if (app) rows.push(['Firmware', app.version ?? 'no manifest'], ['Sketch', app.sketch]);
  if (device?.lastReset) rows.push(['Reset by', causeWords(device.lastReset.cause)]);
  if (model.latched !== undefined) rows.push(['Boot mode', latchWords(model.latched)]);
  for (const [name, at] of Object.entries(addresses ?? {})) {
    if (name !== 'control') rows.push([name, at.path ?? `${at.host}:${at.port}`]);
  }
  return rows;
}
