/**
 * What the page knows of the device, kept up to date by events. No DOM in here: tests feed it with recorded events.
 *
 * Everything is bounded: a page may stay open for a day.
 */

import { Ring } from './ring.js';
import { SerialText } from './serial-text.js';
import { WireLog } from './wire-log.js';

export const SECTOR_BYTES = 4096;
export const PAGE_BYTES = 256;
/** Entries that each log keeps. */
export const KEPT_EVENTS = 20_000;
export const KEPT_OPERATIONS = 65_536;

/** Colours and names of the areas, in the order of the legend. */
export const AREAS = ['eboot', 'app', 'staging', 'fs', 'gap', 'eeprom', 'rfcal', 'wifi'];
export const STATES = ['erased', 'programmed', 'new', 'torn', 'worn'];

const ERASED = 0;
const NEW = 2;
const TORN = 3;
const WORN = 4;

/** Kinds of operations on the timeline. */
export const ERASE = 0;
export const PROGRAM = 1;
export const RTC_WORD = 2;

export const PHASES = ['staging', 'fs', 'command', 'copy', 'clear', 'serial', 'app'];

/**
 * One operation of the timeline.
 * @typedef {{ seq: number, atUs: number, kind: number, phase: number, op: number, address: number, torn: boolean }} Operation
 */

export class Model {
  constructor() {
    /** Number of sectors; 0 until the map came. */
    this.sectors = 0;
    this.capacityBytes = 0;
    this.area = new Uint8Array(0);
    this.state = new Uint8Array(0);
    this.wear = new Uint32Array(0);
    this.crc = new Uint32Array(0);
    /** When a sector was touched last, in milliseconds of the page, and by which kind of operation. */
    this.touchedAt = new Float64Array(0);
    this.touchedBy = new Uint8Array(0);
    /** Sectors that have to be drawn anew. */
    this.dirtySectors = new Set();
    /** Sector of the last operation, -1 before the first. */
    this.cursor = -1;

    this.power = 'off';
    /** What the present start came to: running, download, dead; undefined while it is under way. */
    this.outcome = undefined;
    /** Where in its life the device is. */
    this.stage = 'off';
    this.phase = 6;
    this.app = undefined;
    this.death = undefined;
    this.frozen = undefined;
    this.update = undefined;
    this.eboot = /** @type {any} */ (undefined);
    this.lastError = undefined;
    this.rtcVersion = 0;
    /** Byte offsets of RTC words written, with the page's time. */
    this.rtcTouched = new Map();
    this.armed = [];
    this.fired = 0;
    /** Pin levels as somebody holds them now. */
    this.straps = { gpio0: 1, gpio2: 1, gpio15: 0 };
    /** Strap number that the last hardware reset latched; undefined before the first. */
    this.latched = /** @type {number | undefined} */ (undefined);
    this.addresses = {};

    this.operations = /** @type {Ring<Operation>} */ (new Ring(KEPT_OPERATIONS));
    /** Index of the phase's first operation since it began: what the fault grammar counts. */
    this.opOfPhase = new Array(PHASES.length).fill(0);
    this.marks = new Ring(512);
    this.events = new Ring(KEPT_EVENTS);
    this.story = new Ring(4000);
    this.wire = new WireLog(4000);
    this.serial = new SerialText(4000);
    /** Events received, and those that the server no longer had. */
    this.received = 0;
    this.dropped = 0;
    this.lastSeq = -1;
    /** What changed since the last look; see {@link Model.takeChanges}. */
    this.changes = new Set();
    this.loading = false;
  }

  /** Names of what changed since the last call. */
  takeChanges() {
    const changes = this.changes;
    this.changes = new Set();
    return changes;
  }

  /** The answer of `GET /api/flash/map`. */
  setMap({ sectors, capacityBytes }) {
    const count = sectors.length;
    if (count !== this.sectors) {
      this.sectors = count;
      this.area = new Uint8Array(count);
      this.state = new Uint8Array(count);
      this.wear = new Uint32Array(count);
      this.crc = new Uint32Array(count);
      this.touchedAt = new Float64Array(count).fill(-1e9);
      this.touchedBy = new Uint8Array(count);
      this.changes.add('chip');
    }
    this.capacityBytes = capacityBytes;
    sectors.forEach(({ area, state, wear, crc }, sector) => {
      const areaCode = Math.max(0, AREAS.indexOf(area));
      const stateCode = Math.max(0, STATES.indexOf(state));
      if (this.area[sector] !== areaCode || this.state[sector] !== stateCode || this.wear[sector] !== wear) {
        this.dirtySectors.add(sector);
      }
      this.area[sector] = areaCode;
      this.state[sector] = stateCode;
      this.wear[sector] = wear;
      this.crc[sector] = crc;
    });
    this.changes.add('map');
  }

  /** The answer of `GET /api/device`. */
  setDevice(device) {
    this.device = device;
    this.power = device.power;
    this.addresses = device.addresses;
    this.straps = device.straps;
    this.app = device.app ?? undefined;
    this.outcome = device.state ?? undefined;
    this.death = device.state?.state === 'dead' ? device.state : undefined;
    if (device.power !== 'on') this.stage = device.power;
    else if (device.state?.state === 'running') this.stage = 'app';
    else if (device.state?.state === 'download') this.stage = 'download';
    else if (device.state?.state === 'dead') this.stage = 'dead';
    else if (this.stage === 'off' || this.stage === 'held') this.stage = 'rom';
    this.changes.add('device');
  }

  /**
   * The server no longer had these events.
   * @param {{ dropped: number, restarted?: boolean }} gap
   */
  gap({ dropped, restarted }) {
    this.dropped += dropped;
    if (restarted) this.changes.add('restarted');
    this.changes.add('log');
  }

  /**
   * One event of the device.
   * @param {any} event @param {number} nowMs the page's time
   */
  apply(event, nowMs) {
    this.received++;
    this.lastSeq = event.seq;
    this.events.push(event);
    this.changes.add('log');
    const group = event.type.slice(0, event.type.indexOf('.'));
    if (group === 'wire' || group === 'ota' || group === 'http' || group === 'httpupdate') {
      this.wire.add(event);
      this.changes.add('wire');
    }
    switch (event.type) {
      case 'flash.erase':
      case 'flash.program':
        this.flash(event, nowMs);
        return;
      case 'rtc.write':
        this.rtc(event, nowMs);
        return;
      case 'serial.out':
        this.serial.write(event.text);
        this.changes.add('serial');
        return;
      case 'update.progress':
        if (this.update) this.update.written = event.written;
        this.changes.add('now');
        return;
      case 'ota.ack':
      case 'wire.in':
      case 'wire.out':
        return;
      case 'eboot.copy':
        this.ebootCopy(event);
        return;
      default:
        this.lifecycle(event);
    }
  }

  /** Everything that happens seldom enough to be a line of the story. */
  lifecycle(event) {
    this.story.push(event);
    this.changes.add('now').add('story');
    switch (event.type) {
      case 'power.on':
        this.power = 'on';
        this.begin('rom');
        break;
      case 'power.off':
        this.power = 'off';
        this.app = undefined;
        this.update = undefined;
        this.eboot = undefined;
        this.begin('off');
        this.rtcChanged();
        this.mark(event, 'power');
        break;
      case 'reset':
        this.begin('rom');
        this.app = undefined;
        this.update = undefined;
        this.eboot = undefined;
        this.phase = 6;
        this.rtcChanged();
        if (this.device) this.device.lastReset = event;
        this.changes.add('mapStale');
        this.mark(event, 'reset');
        break;
      case 'straps':
        // Its levels are those of that moment, DTR and held buttons included: how the pins are now, the API knows.
        this.latched = event.latched;
        this.changes.add('device').add('strapsStale');
        break;
      case 'eboot.start':
        this.stage = 'eboot';
        this.enter('copy');
        this.enter('clear');
        this.phase = PHASES.indexOf('copy');
        this.eboot = { version: event.version, engine: event.engine, copied: 0, skipped: 0 };
        break;
      case 'eboot.command':
        this.eboot = { ...this.eboot, command: event, copied: 0, skipped: 0 };
        this.mark(event, 'copy');
        break;
      case 'eboot.end':
        this.phase = 6;
        break;
      case 'app.start':
        this.app = event;
        this.stage = 'app';
        this.eboot = undefined;
        this.changes.add('mapStale');
        this.mark(event, 'app');
        break;
      case 'app.crash':
        this.lastError = `the application crashed: ${event.reason}`;
        this.mark(event, 'crash');
        break;
      case 'device.dead':
        this.stage = 'dead';
        this.death = event;
        this.changes.add('mapStale');
        this.mark(event, 'dead');
        break;
      case 'device.frozen':
        this.frozen = event;
        break;
      case 'device.thawed':
        this.frozen = undefined;
        break;
      case 'device.ready':
        this.addresses = event.addresses;
        this.changes.add('device');
        break;
      case 'update.begin':
        this.stage = 'update';
        this.lastError = undefined;
        this.update = { ...event, written: 0 };
        this.phase = PHASES.indexOf(event.command === 'fs' ? 'fs' : 'staging');
        this.enter('staging');
        this.enter('fs');
        this.enter('command');
        this.changes.add('mapStale');
        this.mark(event, 'update');
        break;
      case 'update.end':
        this.phase = 6;
        if (this.update) this.update.done = true;
        this.mark(event, 'end');
        break;
      case 'update.error':
        this.phase = 6;
        this.stage = 'app';
        this.update = undefined;
        this.lastError = `update error ${event.code}: ${event.message}`;
        this.changes.add('mapStale');
        this.mark(event, 'error');
        break;
      case 'loader.start':
        this.stage = 'download';
        this.enter('serial');
        this.phase = PHASES.indexOf('serial');
        break;
      case 'loader.end':
        this.phase = 6;
        break;
      case 'fault.armed':
        this.armed.push(event.spec);
        this.changes.add('faults');
        break;
      case 'fault.fired': {
        const index = this.armed.indexOf(event.spec);
        if (index >= 0) this.armed.splice(index, 1);
        this.fired++;
        this.changes.add('faults').add('mapStale');
        this.mark(event, 'fault');
        break;
      }
      default:
    }
  }

  begin(stage) {
    this.stage = stage;
    this.outcome = undefined;
    this.death = undefined;
    this.frozen = undefined;
    this.changes.add('device');
  }

  enter(phase) {
    this.opOfPhase[PHASES.indexOf(phase)] = 0;
  }

  mark(event, kind) {
    this.marks.push({ seq: event.seq, at: this.operations.total, kind, event });
    this.changes.add('timeline');
  }

  flash(event, nowMs) {
    const erase = event.type === 'flash.erase';
    const torn = event.torn !== undefined;
    this.operation(event, erase ? ERASE : PROGRAM, this.phase, event.address, torn);
    if (this.sectors === 0) return;
    const first = Math.floor(event.address / SECTOR_BYTES);
    const last = Math.floor((event.address + event.length - 1) / SECTOR_BYTES);
    for (let at = first; at <= last; at++) {
      const sector = at % this.sectors;
      this.area[sector] = Math.max(0, AREAS.indexOf(event.area));
      this.wear[sector] = event.wear;
      this.state[sector] = torn ? TORN : event.stuckBits > 0 && erase ? WORN : this.next(sector, erase);
      this.touchedAt[sector] = nowMs;
      this.touchedBy[sector] = erase ? ERASE : PROGRAM;
      this.dirtySectors.add(sector);
      this.cursor = sector;
    }
    this.changes.add('map').add('flash');
  }

  next(sector, erase) {
    const before = this.state[sector];
    if (erase) return ERASED;
    return before === TORN || before === WORN ? before : NEW;
  }

  rtc(event, nowMs) {
    const inEboot = this.stage === 'eboot';
    this.operation(event, RTC_WORD, PHASES.indexOf(inEboot ? 'clear' : 'command'), event.offset, false);
    this.rtcTouched.set(event.offset, nowMs);
    this.rtcChanged();
  }

  rtcChanged() {
    this.rtcVersion++;
    this.changes.add('rtc');
  }

  ebootCopy(event) {
    if (!this.eboot) return;
    if (event.skipped) this.eboot.skipped++;
    else this.eboot.copied++;
    this.eboot.sector = event.sector;
    this.changes.add('now');
  }

  operation({ seq, atUs }, kind, phase, address, torn) {
    this.operations.push({ seq, atUs, kind, phase, op: this.opOfPhase[phase]++, address, torn });
    this.changes.add('timeline');
  }
}

/** The fault that strikes at an operation of the timeline when the same happens again. */
export function faultAt(operation, kind, point, fraction) {
  const where = `${PHASES[operation.phase]}:${operation.op}`;
  const inside = point === 'inside' && fraction !== undefined ? `:${fraction}` : '';
  return `${kind}@${where}${point === 'before' ? '' : `:${point}${inside}`}`;
}
