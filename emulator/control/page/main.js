/** The page: wires its parts to the device. One loop draws, once a frame, what has changed. */
import { api } from './api.js';
import { byId, make, setText, toast } from './dom.js';
import { FaultSheet } from './fault-sheet.js';
import { FileSheet } from './file-sheet.js';
import { FlashMap } from './flash-map.js';
import { AREAS, Model, STATES } from './model.js';
import { banner, copying, facts, nowOf, STATIONS } from './now.js';
import { RtcView } from './rtc-view.js';
import { SectorSheet } from './sector-sheet.js';
import { Timeline } from './timeline.js';
import { VirtualList } from './virtual-list.js';
import { areaWords, count, describe, faultWords, STATE_WORDS, time } from './words.js';

/** How much of the past a page that opens late asks for. */
const HISTORY = 20_000;
const MAP_WAIT_MS = 150;
const LINE_ENDS = { LF: '\n', CRLF: '\r\n', none: '' };
const LED_MS = 120;

const model = new Model();
let online = false;
let snapshots = /** @type {any[]} */ ([]);
let markId = /** @type {string | undefined} */ (undefined);
let clock = { mode: 'fast', paused: false, speed: 1, pauseOn: /** @type {string[]} */ ([]) };

// --- actions ---------------------------------------------------------------------------------------------------------

/** Runs an action of a button; what goes wrong is told. */
async function act(action) {
  try {
    return await action();
  } catch (error) {
    toast(/** @type {Error} */ (error).message, 'bad');
    return undefined;
  }
}

const applyDevice = (device) => {
  model.setDevice(device);
  applyClock(device.clock);
};

const togglePower = () => act(async () => applyDevice(await api.power(model.power !== 'on')));
const pressReset = () => act(async () => applyDevice(await api.reset()));
const toggleStrap = () =>
  act(async () => {
    model.straps = await api.straps({ gpio0: model.straps.gpio0 ? 0 : 1 });
    model.changes.add('device');
    toast(
      model.straps.gpio0
        ? 'GPIO0 is open: the next reset boots from flash.'
        : 'GPIO0 is low: the next reset starts the serial loader.',
    );
  });
const togglePause = () => act(async () => applyClock(await api.clock({ paused: !clock.paused })));
const step = () =>
  act(async () => {
    if (!clock.paused) applyClock(await api.clock({ paused: true }));
    const { performed, event } = await api.step();
    toast(performed ? describe(event).text : 'Nothing to step: no flash operation is under way.');
  });

async function loadSnapshots() {
  snapshots = (await api.snapshots()).snapshots;
  showSnapshots();
}

const restore = (id) =>
  act(async () => {
    await api.restore(id, true);
    await refreshAll();
    toast('Back at the snapshot, and started.');
  });

const mark = () =>
  act(async () => {
    if (markId !== undefined) await api.forget(markId).catch(() => {});
    markId = (await api.save('marked moment')).id;
    model.setMap(await api.map());
    map.mark();
    setView('diff');
    await loadSnapshots();
    toast('Marked. Sectors that change from now on light up in this view.');
  });

// --- parts -----------------------------------------------------------------------------------------------------------

const files = new FileSheet(model);
const faultSheet = new FaultSheet({
  lastFile: () => files.last?.file,
  again: () => act(() => files.again()).then(() => undefined),
  hasSnapshot: (id) => snapshots.some((snapshot) => snapshot.id === id),
  restore: (id) => restore(id).then(() => undefined),
});
const sectorSheet = new SectorSheet(model, { arm: (address) => faultSheet.atSector(address), mark: () => markId });
const map = new FlashMap(model, { open: (sector) => void sectorSheet.open(sector) });
const timeline = new Timeline(model, { plan: (operation) => faultSheet.atOperation(operation) });
const rtc = new RtcView(model);
const log = new VirtualList(byId('log'));

// --- logs ------------------------------------------------------------------------------------------------------------

const line = (row, tone, ...children) => {
  row.dataset.tone = tone;
  row.replaceChildren(...children);
};
const eventLine = (row, event) => {
  const { text, tone } = describe(event);
  row.title = text;
  line(row, tone, make('time', {}, (event.atUs / 1e6).toFixed(3)), text);
};
const WAYS = { in: '→', out: '←', note: '' };
const SOURCES = {
  serial: {
    list: () => model.serial,
    empty: 'The serial line is silent.',
    fill(row, text) {
      row.title = text;
      line(row, 'plain', text || ' ');
    },
  },
  wire: {
    list: () => model.wire.lines,
    empty:
      'Nothing has crossed the wires yet. Upload something: drop a .bin on the page, or use espota.py, a browser, curl.',
    tall: true,
    fill(row, entry) {
      row.title = entry.peer ? `${entry.peer}: ${entry.text}` : entry.text;
      line(
        row,
        entry.tone,
        make('span', { class: `way ${entry.from}` }, WAYS[entry.from]),
        make('span', { class: 'channel' }, entry.channel),
        entry.text,
      );
    },
  },
  story: { list: () => model.story, empty: 'Nothing has happened yet.', tall: true, fill: eventLine },
  events: { list: () => model.events, empty: 'Nothing has happened yet.', fill: eventLine },
};
let shownLog = 'serial';

function showLog(name) {
  shownLog = name;
  const source = SOURCES[name];
  for (const tab of document.querySelectorAll('[data-log]')) {
    const chosen = /** @type {HTMLElement} */ (tab).dataset.log === name;
    tab.setAttribute('aria-selected', String(chosen));
    /** @type {HTMLElement} */ (tab).tabIndex = chosen ? 0 : -1;
    if (chosen) byId('log').setAttribute('aria-labelledby', tab.id);
  }
  byId('serial-form').hidden = name !== 'serial';
  log.show({
    get length() {
      return source.list().length;
    },
    at: (index) => source.list().at(index),
    fill: source.fill,
    empty: source.empty,
    tall: source.tall === true,
  });
  model.changes.add('log');
}

function showLogFoot() {
  const list = shownLog === 'serial' ? model.serial.lines : SOURCES[shownLog].list();
  const older = list.dropped ?? 0;
  const missing = model.dropped > 0 ? `; ${count(model.dropped)} events came before this page asked` : '';
  const ways = shownLog === 'wire' ? '→ to the device, ← from it; ' : '';
  setText(
    byId('log-foot'),
    shownLog === 'serial'
      ? `${older > 0 ? `${count(older)} older lines dropped` : ''}`
      : `${ways}${count(model.received)} events received${older > 0 ? `, ${count(older)} older lines dropped here` : ''}${missing}`,
  );
}

// --- showing ---------------------------------------------------------------------------------------------------------

function applyClock(next) {
  clock = next;
  const pause = byId('pause');
  pause.classList.toggle('on', clock.paused);
  setText(pause.querySelector('.label'), clock.paused ? 'Go on' : 'Pause');
  setText(pause.querySelector('.icon'), clock.paused ? '▶' : '❚❚');
  byId('step').disabled = !clock.paused;
  const speed = byId('speed');
  const choices = SPEEDS[clock.mode] ?? [];
  if (speed.dataset.mode !== clock.mode) {
    speed.dataset.mode = clock.mode;
    speed.replaceChildren(...choices.map(([value, words]) => make('option', { value }, words)));
  }
  const known = choices.some(([value]) => value === clock.speed);
  if (!known && ![...speed.options].some(({ value }) => Number(value) === clock.speed)) {
    speed.append(make('option', { value: clock.speed }, `× ${clock.speed}`));
  }
  speed.value = String(clock.speed);
  const pauseOn = clock.pauseOn ?? [];
  for (const box of document.querySelectorAll('#stops input')) {
    const input = /** @type {HTMLInputElement} */ (box);
    input.checked = pauseOn.includes(input.value);
  }
  document.querySelector('#stops summary')?.classList.toggle('on', pauseOn.length > 0);
  showNow();
}

/** Factors on top of `--time`; with `fast` 0.5 is about real time. */
const SPEEDS = {
  fast: [
    [1, 'full'],
    [0.5, 'as the chip'],
    [0.2, '4 × slower'],
    [0.05, '19 × slower'],
    [0.01, '99 × slower'],
  ],
  real: [
    [10, '10 × faster'],
    [3, '3 × faster'],
    [1, 'as the chip'],
    [0.25, '4 × slower'],
    [0.05, '20 × slower'],
    [0.01, '100 × slower'],
  ],
  virtual: [[1, 'by hand']],
};

function showNow() {
  const now = nowOf(model);
  const pill = byId('status');
  setText(pill, online ? (clock.paused ? `paused · ${now.status}` : now.status) : 'not connected');
  pill.dataset.tone = online ? (clock.paused ? 'warn' : now.tone) : 'bad';
  setText(byId('now'), now.text);
  for (const item of byId('life').children) {
    const here = item.dataset.station === now.station;
    if (here) item.setAttribute('aria-current', 'step');
    else item.removeAttribute('aria-current');
    item.dataset.tone = now.tone;
  }
  const bar = byId('progress');
  bar.firstElementChild.style.transform = `scaleX(${now.progress ?? 0})`;
  if (now.progress === undefined) bar.removeAttribute('aria-valuenow');
  else bar.setAttribute('aria-valuenow', String(Math.round(now.progress * 100)));
  map.copying = copying(model);
  document.title = `${now.status} · Virtual ESP8266`;
  showBanner();
}

function showBanner() {
  const box = byId('banner');
  const death = banner(model);
  const key = death ? `${death.why}${death.detail}` : online ? '' : 'offline';
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.hidden = key === '';
  if (!online && !death) {
    box.replaceChildren(
      make('b', {}, 'Not connected.'),
      'The program that serves this page has ended. The page waits for it to come back.',
    );
    return;
  }
  if (!death) return;
  const cures =
    {
      external: [['Press reset', pressReset]],
      power: [
        [
          'Unplug and plug in',
          () =>
            act(async () => {
              await api.power(false);
              applyDevice(await api.power(true));
            }),
        ],
      ],
      serial: [['Go back to a snapshot', () => goBack()]],
    }[death.kind] ?? [];
  box.replaceChildren(
    make('b', {}, 'Dead.'),
    make('span', {}, death.why),
    make('span', {}, `What revives it: ${death.cure}`),
    ...cures.map(([words, action]) => make('button', { class: 'button', type: 'button', onclick: action }, words)),
  );
}

/** The last snapshot of the time when the old firmware still ran. */
function goBack() {
  const good =
    ['before-update', 'before-copy'].find((id) => snapshots.some((snapshot) => snapshot.id === id)) ??
    snapshots.at(-1)?.id;
  if (good) void restore(good);
  else toast('There is no snapshot yet: one is taken by itself before each update.', 'bad');
}

function showBoard() {
  const power = byId('power');
  const on = model.power === 'on';
  power.setAttribute('aria-checked', String(on));
  setText(power.querySelector('em'), on ? 'in' : model.power === 'held' ? 'held' : 'out');
  const strap = byId('gpio0');
  const low = model.straps.gpio0 === 0;
  strap.setAttribute('aria-checked', String(low));
  setText(strap.querySelector('em'), low ? 'low' : 'open');
  byId('reset').disabled = model.power === 'off';
  byId('led-power').classList.toggle('on', on);
  setText(byId('board-name'), model.device ? `${model.device.board} · ${model.device.layout}` : '');
  const rows = facts(model);
  byId('facts').replaceChildren(...rows.flatMap(([name, text]) => [make('dt', {}, name), make('dd', {}, text)]));
}

function showSnapshots() {
  const box = byId('snapshots');
  box.replaceChildren(
    ...snapshots.map(({ id, name, atUs, automatic }) =>
      make(
        'li',
        {},
        make('span', { title: `at ${time(atUs)} s` }, name || `at ${(atUs / 1e6).toFixed(1)} s`),
        make(
          'button',
          {
            class: 'button small',
            type: 'button',
            onclick: () => restore(id),
            'aria-label': `Go back to ${name || id}`,
          },
          'Go back',
        ),
        automatic
          ? undefined
          : make(
              'button',
              {
                class: 'button small quiet',
                type: 'button',
                'aria-label': `Delete ${name || id}`,
                onclick: () =>
                  act(async () => {
                    await api.forget(id);
                    if (markId === id) markId = undefined;
                    await loadSnapshots();
                  }),
              },
              '✕',
            ),
      ),
    ),
  );
  if (snapshots.length === 0) box.append(make('li', { class: 'empty' }, 'none yet; one is taken before each update'));
}

function showFaults() {
  const box = byId('faults');
  byId('disarm').hidden = model.armed.length === 0;
  box.replaceChildren(
    ...model.armed.map((spec) =>
      make('li', { class: 'armed', title: spec }, make('span', {}, `⚡ ${faultWords(spec)}`)),
    ),
  );
  if (model.armed.length === 0)
    box.append(make('li', { class: 'empty' }, 'none armed; click a sector or the timeline'));
}

function showLegend() {
  const used = new Set(model.area);
  const swatch = (style, name, title) => {
    const box = make('i', { class: 'swatch' });
    Object.assign(box.style, style);
    return make('li', { title }, box, name);
  };
  const items =
    map.view === 'areas'
      ? [
          ...AREAS.filter((_, code) => used.has(code)).map((area) =>
            swatch({ background: `var(--area-${area})` }, area, areaWords(area)),
          ),
          swatch(
            { background: 'color-mix(in srgb, var(--area-app) 25%, var(--cell-empty))' },
            'erased',
            STATE_WORDS.erased,
          ),
          swatch(
            { background: 'color-mix(in srgb, var(--area-app) 62%, var(--cell-empty))' },
            'programmed',
            STATE_WORDS.programmed,
          ),
          swatch({ background: 'var(--area-app)' }, 'new', STATE_WORDS.new),
          swatch(
            { background: 'linear-gradient(135deg, var(--bad) 50%, var(--area-app) 50%)' },
            'torn',
            STATE_WORDS.torn,
          ),
          swatch(
            { background: 'linear-gradient(135deg, var(--warn) 50%, var(--area-app) 50%)' },
            'worn',
            STATE_WORDS.worn,
          ),
        ]
      : map.view === 'wear'
        ? [
            swatch({ background: 'var(--cell-empty)' }, 'never erased', ''),
            swatch({ background: 'var(--warn)' }, 'erased a few times', ''),
            swatch(
              { background: 'var(--bad)' },
              `most often: ${count(model.wear.reduce((most, wear) => Math.max(most, wear), 0))} times`,
              '',
            ),
          ]
        : map.marked
          ? [
              swatch(
                { background: 'var(--changed)' },
                `changed since the mark: ${count(model.crc.reduce((sum, crc, i) => sum + (crc === map.marked?.[i] ? 0 : 1), 0))} sectors`,
                '',
              ),
              swatch({ background: 'var(--muted)', opacity: '0.4' }, 'the same', ''),
            ]
          : [make('li', { class: 'muted' }, 'Mark a moment first; then this shows which sectors have changed since.')];
  byId('legend').replaceChildren(...items);
}

function setView(view) {
  map.show(view);
  for (const button of document.querySelectorAll('[data-view]')) {
    const chosen = /** @type {HTMLElement} */ (button).dataset.view === view;
    button.setAttribute('aria-pressed', String(chosen));
  }
  showLegend();
}

// --- loading ---------------------------------------------------------------------------------------------------------

let mapTimer = 0;

/** States and sums of sectors come from the server, some time after the last change. */
function refreshMap(wait = MAP_WAIT_MS) {
  clearTimeout(mapTimer);
  mapTimer = window.setTimeout(
    () =>
      void api.map().then(
        (answer) => model.setMap(answer),
        () => {},
      ),
    wait,
  );
}

/** A latch may have let go a button that was held for it; a terminal or another page may have moved the pins. */
async function refreshStraps() {
  model.straps = await api.pins();
  model.changes.add('device');
}

async function refreshAll() {
  const [device, chip, faults] = await Promise.all([api.device(), api.map(), api.faults()]);
  model.setMap(chip);
  model.armed = faults.armed.map(({ spec }) => spec);
  model.fired = faults.fired.length;
  applyDevice(device);
  model.rtcChanged();
  model.changes.add('faults').add('now');
  await loadSnapshots();
  return device;
}

const worker = new Worker('/stream-worker.js', { type: 'module' });
let known = false;

worker.onmessage = ({ data }) => {
  if (data.online !== undefined && data.online !== online) {
    online = data.online;
    model.changes.add('now');
    // What happened while nobody listened is in the state, not only in the events.
    if (online && known) void refreshAll().catch(() => {});
    known = true;
  }
  if (!data.batch) return;
  const now = performance.now();
  for (const event of data.batch) {
    if (event.type === 'gap') model.gap(event);
    else model.apply(event, now);
  }
};

// --- the frame -------------------------------------------------------------------------------------------------------

/** How many frames there were, and what the page itself took for them: for a look at its smoothness. */
const frames = { count: 0, busyMs: 0, longestMs: 0, over: 0 };
const FRAME_MS = 16;
let lastFlash = 0;
let lastWire = 0;
let quietSince = 0;

function frame(now) {
  const start = performance.now();
  const changes = model.takeChanges();
  if (changes.has('restarted')) void refreshAll().catch(() => {});
  if (changes.has('flash')) {
    lastFlash = now;
    quietSince = now;
  }
  if (changes.has('wire')) lastWire = now;
  if (changes.has('mapStale')) {
    refreshMap();
    void loadSnapshots().catch(() => {});
  }
  if (changes.has('strapsStale')) void refreshStraps().catch(() => {});
  if (changes.has('now') || changes.has('device') || changes.has('story')) showNow();
  if (changes.has('device') || changes.has('story') || changes.has('chip')) showBoard();
  if (changes.has('faults')) showFaults();
  if (changes.has('chip') || changes.has('map')) legendSoon(now);
  if (changes.has('timeline')) timeline.stale = true;
  if (changes.has('log') || changes.has('serial') || changes.has('wire') || changes.has('story')) {
    log.dirty = true;
    showLogFoot();
  }
  // The sums of the sectors are fetched when the chip has come to rest.
  if (quietSince > 0 && now - quietSince > 400) {
    quietSince = 0;
    refreshMap(0);
  }
  map.draw(now);
  timeline.draw();
  rtc.draw(now);
  log.draw();
  sectorSheet.refresh(now);
  byId('led-flash').classList.toggle('on', now - lastFlash < LED_MS && lastFlash > 0);
  byId('led-wire').classList.toggle('on', now - lastWire < LED_MS && lastWire > 0);
  const took = performance.now() - start;
  frames.count++;
  frames.busyMs += took;
  frames.longestMs = Math.max(frames.longestMs, took);
  if (took > FRAME_MS) frames.over++;
  requestAnimationFrame(frame);
}

let legendAt = 0;
function legendSoon(now) {
  if (now - legendAt < 500) return;
  legendAt = now;
  showLegend();
}

// --- keys, drops, themes ---------------------------------------------------------------------------------------------

const KEYS = [
  { key: ' ', name: 'Space', words: 'pause, go on', action: togglePause },
  { key: 's', name: 'S', words: 'one flash operation', action: step },
  { key: 'p', name: 'P', words: 'power plug', action: togglePower },
  { key: 'r', name: 'R', words: 'reset button', action: pressReset },
  { key: 'g', name: 'G', words: 'GPIO0 to ground, or open', action: toggleStrap },
  { key: 'm', name: 'M', words: 'mark this moment', action: mark },
  { key: 't', name: 'T', words: 'light or dark', action: () => toggleTheme() },
  { key: '?', name: '?', words: 'this help', action: () => showHelp() },
];

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.closest('input, select, textarea, dialog[open]')) return;
  if (event.key === ' ' && target.closest('button, summary, [role="tab"]')) return;
  const key = KEYS.find(({ key: name }) => name === event.key.toLowerCase());
  if (!key) return;
  event.preventDefault();
  key.action();
});

function showHelp() {
  const dialog = byId('help-dialog');
  dialog.replaceChildren(
    make(
      'div',
      { class: 'body' },
      make('h2', { id: 'help-title' }, 'Keys'),
      make(
        'dl',
        { class: 'keys' },
        ...KEYS.flatMap(({ name, words }) => [make('dt', {}, make('kbd', {}, name)), make('dd', {}, words)]),
        make('dt', {}, make('kbd', {}, '← ↑ → ↓')),
        make('dd', {}, 'on the map and the timeline: choose; Enter opens'),
      ),
      make(
        'p',
        { class: 'muted' },
        'Everything on this page goes through the control API, and a program can do the same: docs/control-api.md.',
      ),
      make(
        'div',
        { class: 'row' },
        make('button', { class: 'button primary', type: 'button', onclick: () => dialog.close() }, 'Close'),
      ),
    ),
  );
  dialog.showModal();
}

function theme() {
  try {
    return localStorage.getItem('theme');
  } catch {
    return null; // no storage: the system's choice holds
  }
}

function applyTheme(name) {
  document.documentElement.dataset.theme = name;
  map.readColours();
  timeline.readColours();
}

function toggleTheme() {
  const next = document.documentElement.dataset.theme === 'light' ? 'dark' : 'light';
  try {
    localStorage.setItem('theme', next);
  } catch {
    // It lasts as long as the page, then.
  }
  applyTheme(next);
}

function setUp() {
  const system = matchMedia('(prefers-color-scheme: light)');
  applyTheme(theme() ?? (system.matches ? 'light' : 'dark'));
  system.addEventListener('change', () => {
    if (theme() === null) applyTheme(system.matches ? 'light' : 'dark');
  });
  byId('life').replaceChildren(...STATIONS.map(([station, words]) => make('li', { 'data-station': station }, words)));

  const on = (id, action) => byId(id).addEventListener('click', action);
  on('pause', togglePause);
  on('step', step);
  on('power', togglePower);
  on('reset', pressReset);
  on('gpio0', toggleStrap);
  on('mark', mark);
  on('theme', toggleTheme);
  on('help', showHelp);
  on('disarm', () =>
    act(async () => {
      await api.disarm();
      model.armed = [];
      showFaults();
    }),
  );
  on('save', () =>
    act(async () => {
      await api.save(`by hand, ${model.app?.version ?? model.power}`);
      await loadSnapshots();
    }),
  );
  byId('speed').addEventListener('change', (event) =>
    act(async () => applyClock(await api.clock({ speed: Number(event.target.value) }))),
  );
  byId('stops').addEventListener('change', () => {
    const pauseOn = [...document.querySelectorAll('#stops input:checked')].map(
      (input) => /** @type {HTMLInputElement} */ (input).value,
    );
    void act(async () => applyClock(await api.clock({ pauseOn })));
  });
  document.addEventListener('click', (event) => {
    const stops = byId('stops');
    if (!stops.contains(event.target)) stops.open = false;
  });
  byId('serial-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const input = byId('serial-input');
    void act(() => api.type(input.value + LINE_ENDS[byId('serial-end').value]));
    input.value = '';
  });
  const radios = [...document.querySelectorAll('[data-view]')].map((button) => /** @type {HTMLElement} */ (button));
  arrowKeys(radios, (button) => setView(button.dataset.view));
  const tabs = [...document.querySelectorAll('[data-log]')].map((button) => /** @type {HTMLElement} */ (button));
  arrowKeys(tabs, (button) => showLog(button.dataset.log ?? 'serial'));

  const file = byId('file');
  file.addEventListener('change', () => {
    const [chosen] = file.files;
    file.value = '';
    if (chosen) void files.open(chosen);
  });
  const cover = byId('drop-cover');
  let depth = 0;
  addEventListener('dragenter', (event) => {
    event.preventDefault();
    depth++;
    cover.hidden = false;
  });
  addEventListener('dragleave', () => {
    depth--;
    cover.hidden = depth <= 0;
  });
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    depth = 0;
    cover.hidden = true;
    const dropped = event.dataTransfer?.files[0];
    if (dropped) void files.open(dropped);
  });
  // Somebody else may have paused it, or an event.
  setInterval(() => {
    if (online && !document.hidden)
      void api.clock({}).then(
        (next) => JSON.stringify({ ...next, atUs: 0 }) === JSON.stringify({ ...clock, atUs: 0 }) || applyClock(next),
        () => {},
      );
  }, 500);
}

/** Buttons of which one is chosen: click, or the arrow keys. */
function arrowKeys(buttons, choose) {
  buttons.forEach((button, index) => {
    button.addEventListener('click', () => choose(button));
    button.addEventListener('keydown', (event) => {
      const step_ = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step_ === undefined) return;
      event.preventDefault();
      const next = buttons[(index + step_ + buttons.length) % buttons.length];
      next?.focus();
      if (next) choose(next);
    });
  });
}

setUp();
showLog('serial');
setView('areas');
showSnapshots();
showFaults();
showNow();
requestAnimationFrame(frame);

async function start() {
  for (;;) {
    try {
      const device = await refreshAll();
      setText(byId('map-size'), `${device.chip.sectors} sectors of 4 KiB, ${device.chip.name}`);
      online = true;
      known = true;
      model.changes.add('now');
      worker.postMessage({ after: Math.max(device.events.oldest, device.events.next - HISTORY) - 1, run: device.run });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}
void start();

/** For tests and the curious: `vesp.model`, `vesp.frames`. */
Object.assign(window, { vesp: { model, frames, map, timeline, states: STATES } });
