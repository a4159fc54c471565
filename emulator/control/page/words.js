/** Events in plain words, for people who look rather than read. No DOM in here. */

/** @param {number} value */
export const hex = (value, digits = 1) => `0x${(value >>> 0).toString(16).toUpperCase().padStart(digits, '0')}`;

/** @param {number} value */
export const count = (value) => value.toLocaleString('en-US');

/** `1 sector`, `12 sectors` */
export const many = (value, noun) => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

/** Device time: `12.345 678 s`. */
export function time(atUs) {
  const seconds = Math.floor(atUs / 1e6);
  const micros = String(atUs % 1e6).padStart(6, '0');
  return `${seconds}.${micros.slice(0, 3)} ${micros.slice(3)}`;
}

const AREA_WORDS = {
  eboot: 'the bootloader (sector 0)',
  app: 'the running application',
  staging: 'the staging area of the last update',
  fs: 'the file system',
  gap: 'unused',
  eeprom: 'EEPROM emulation',
  rfcal: 'radio calibration',
  wifi: 'Wi-Fi settings of the SDK',
};

/** What an area is for. */
export const areaWords = (area) => AREA_WORDS[area] ?? area;

export const STATE_WORDS = {
  erased: 'erased: every bit is 1',
  programmed: 'programmed',
  new: 'programmed since the last update began',
  torn: 'torn: power went in the middle of an operation',
  worn: 'worn: some bits stay 0',
};

const CAUSES = {
  'power-on': 'power came',
  external: 'the reset button',
  software: 'the software asked for it (ESP.restart)',
  'software-watchdog': 'the software watchdog bit',
  'hardware-watchdog': 'the hardware watchdog bit',
  exception: 'an exception',
  eboot: 'eboot',
  'brown-out': 'the supply voltage sagged (brown-out)',
};

/** Why the chip starts again. */
export const causeWords = (cause) => CAUSES[cause] ?? cause;

const quiet = (text) => ({ text, tone: 'quiet' });
const say = (text) => ({ text, tone: 'plain' });
const good = (text) => ({ text, tone: 'good' });
const warn = (text) => ({ text, tone: 'warn' });
const bad = (text) => ({ text, tone: 'bad' });

/** One event as a line: what happened, and how serious it is (`quiet`, `plain`, `good`, `warn`, `bad`). */
export function describe(event) {
  const teller = TELLERS[event.type];
  return teller ? teller(event) : quiet(event.type);
}

const kind = (command) => (command === 'fs' || command === 100 ? 'file system' : 'sketch');

/** @type {Record<string, (event: any) => { text: string, tone: string }>} */
const TELLERS = {
  'device.ready': (e) =>
    good(
      `ready: ${Object.entries(e.addresses)
        .map(([name, at]) => `${name} on ${at.path ?? `${at.host}:${at.port}`}`)
        .join(', ')}`,
    ),
  'power.on': (e) => say(e.cause === 'fault' ? 'power comes back' : 'plugged in'),
  'power.off': (e) =>
    e.cause === 'fault'
      ? bad('POWER IS CUT: RTC memory and RAM are lost')
      : say('unplugged: RTC memory and RAM are lost'),
  reset: (e) => say(`reset: ${causeWords(e.cause)}; RTC memory is ${e.rtcKept ? 'kept' : 'lost'}`),
  straps: (e) =>
    quiet(
      `straps: GPIO0 ${e.gpio0 ? 'high' : 'low'}, GPIO2 ${e.gpio2 ? 'high' : 'low'}, GPIO15 ${e.gpio15 ? 'high' : 'low'}`,
    ),
  'rom.boot': (e) =>
    e.failure
      ? bad(`the ROM finds nothing to start: ${e.failure}`)
      : quiet(
          `the ROM loads eboot from sector 0: ${many(e.segments, 'segment')}, checksum ${e.checksumOk ? 'right' : 'WRONG'}`,
        ),
  'eboot.start': (e) =>
    quiet(
      `eboot starts (${e.engine === 'native' ? 'the real code, executed' : 'the model'}, ${e.version}) and looks into RTC memory for a command`,
    ),
  'eboot.command': (e) =>
    say(`eboot finds a command: copy ${count(e.size)} bytes from ${hex(e.source, 6)} to ${hex(e.destination, 6)}`),
  'eboot.copy': (e) =>
    quiet(
      `eboot ${e.skipped ? 'skips sector' : 'has copied sector'} ${e.sector}${e.skipped ? ': it is the same already' : ''}`,
    ),
  'eboot.end': (e) =>
    e.result === 0 ? quiet('eboot is done and starts the application') : bad(`eboot ends with error ${e.result}`),
  'app.start': (e) =>
    e.identity === 'corrupt'
      ? bad(`a damaged application starts: ${count(e.size)} bytes`)
      : good(
          `the application starts: ${e.version ? `version ${e.version}` : 'no manifest'}, ${count(e.size)} bytes, sketch ${e.sketch}`,
        ),
  'app.crash': (e) => bad(`the application crashes: ${e.reason} (crash ${e.resets} in a row)`),
  'device.dead': (e) => bad(`the device is dead: ${e.message ?? e.why}`),
  'device.frozen': (e) => warn(`frozen in ${e.where}: ${e.cure}`),
  'device.thawed': (e) => quiet(`goes on (${e.where})`),
  'flash.erase': (e) =>
    quiet(`erase  sector ${Math.floor(e.address / 4096)} (${hex(e.address, 6)}, ${e.area})${torn(e)}`),
  'flash.program': (e) =>
    quiet(
      `program ${hex(e.address, 6)} ${many(e.length, 'byte')} (${e.area})${torn(e)}${e.stuckBits > 0 ? `, ${many(e.stuckBits, 'bit')} stuck` : ''}`,
    ),
  'rtc.write': (e) => quiet(`RTC word at ${e.offset}${e.meaning ? `: ${e.meaning}` : ''}`),
  'update.begin': (e) =>
    say(`an update of the ${kind(e.command)} begins: ${count(e.size)} bytes, to ${hex(e.address, 6)}`),
  'update.progress': (e) => quiet(`${count(e.written)} of ${count(e.size)} bytes`),
  'update.end': (e) => good(`the update is complete: ${count(e.size)} bytes, MD5 ${e.md5}`),
  'update.error': (e) => bad(`update error ${e.code} (${e.name}): ${e.message}`),
  'ota.invite': (e) =>
    say(`${e.peer} invites: "fetch a ${kind(e.command)} of ${count(e.size)} bytes from my port ${e.port}"`),
  'ota.auth': (e) =>
    e.ok ? quiet(`${e.peer} proves that it knows the password`) : warn(`${e.peer} does not know the password`),
  'ota.connect': (e) =>
    e.ok ? quiet(`the device connects back to ${e.peer}`) : warn(`${e.peer} cannot be reached by TCP`),
  'ota.ack': (e) => quiet(`the device acknowledges ${count(e.total)} bytes`),
  'ota.error': (e) => bad(`ArduinoOTA error ${e.code}: ${e.name}`),
  'ota.end': (e) =>
    e.ok ? good(`ArduinoOTA is done${e.reboot ? ', the device restarts' : ''}`) : bad('ArduinoOTA failed'),
  'http.request': (e) => say(`${e.peer} asks: ${e.method} ${e.path}`),
  'http.upload': (e) =>
    (e.state === 'aborted' ? warn : quiet)(
      `upload of "${e.filename}" (field ${e.field}) ${{ start: 'starts', end: `ends after ${count(e.bytes)} bytes`, aborted: 'breaks off' }[e.state]}`,
    ),
  'http.response': (e) =>
    (e.status < 400 ? quiet : warn)(`the device answers ${e.status}${e.length ? `, ${many(e.length, 'byte')}` : ''}`),
  'httpupdate.request': (e) => say(`the device asks its update server: ${e.url}`),
  'httpupdate.response': (e) =>
    (e.status === 200 || e.status === 304 ? quiet : warn)(`the update server answers ${e.status}`),
  'httpupdate.end': (e) =>
    ({
      ok: good('httpUpdate succeeded'),
      'no-updates': quiet('httpUpdate: nothing newer'),
      failed: bad(`httpUpdate failed: ${e.message ?? e.error}`),
    })[e.result] ?? quiet(e.result),
  'loader.start': (e) => say(`the serial loader listens (${e.dialect})`),
  'loader.command': (e) =>
    (e.status === 0 ? quiet : warn)(`serial loader: ${e.name}${e.status ? `, error ${e.status}` : ''}`),
  'loader.end': () => quiet('the serial loader ends'),
  'serial.out': (e) => quiet(`serial: ${JSON.stringify(e.text)}`),
  'serial.in': (e) => quiet(`typed: ${JSON.stringify(e.text)}`),
  'serial.host': (e) =>
    (e.state === 'ignored' ? warn : quiet)(
      `serial host ${e.peer}: ${{ connected: 'connects', flashing: 'flashes the chip', ignored: 'is ignored while another one flashes', gone: 'is gone' }[e.state] ?? e.state}`,
    ),
  'cpu.stop': (e) => warn(`the CPU stops: ${e.reason} at ${hex(e.pc, 8)}`),
  'fault.armed': (e) => warn(`armed: ${faultWords(e.spec)}`),
  'fault.fired': (e) =>
    bad(`STRIKES: ${faultWords(e.spec)}${e.address === undefined ? '' : `, at ${hex(e.address, 6)}`}`),
  'sketch.log': (e) => quiet(e.text),
  'wire.in': (e) => quiet(`← ${e.channel} ${e.peer}: ${many(e.length, 'byte')}`),
  'wire.out': (e) => quiet(`→ ${e.channel} ${e.peer}: ${many(e.length, 'byte')}`),
};

const torn = (event) => (event.torn === undefined ? '' : `, TORN after ${count(event.torn)} bits`);

const FAULTS = {
  'power-cut': 'pull the plug',
  reset: 'press reset',
  'brown-out': 'brown-out',
  'erase-fail': 'an erase fails',
  'program-fail': 'a program fails',
  'read-fail': 'a read fails',
  'write-drop': 'a write is lost silently',
  'stuck-bits': 'bits stick',
  'worn-sector': 'the sector is worn out',
};
const PHASE_WORDS = {
  staging: 'while the image is stored',
  fs: 'while the file system is written',
  command: 'while the eboot command is written',
  copy: 'while eboot copies',
  clear: 'while eboot clears its command',
  serial: 'in the serial loader',
  app: 'while the sketch runs',
  any: 'from now on',
  udp: 'on UDP',
  tcp: 'on TCP',
  http: 'on HTTP',
};

/** The phase of a fault in words. */
export const phaseWords = (phase) => PHASE_WORDS[phase] ?? phase;

/** `power-cut@copy:17:inside` as a sentence; what is no such text stays as it is. */
export function faultWords(spec) {
  const parts = /^([a-z-]+)@(?:(0x[0-9a-f]+)|([a-z]+):(\d+))(?::(before|inside|after))?/i.exec(spec);
  if (!parts) return spec;
  const [, name = '', address, phase = '', op, point = 'before'] = parts;
  const what = FAULTS[name] ?? name;
  const power = name === 'power-cut' || name === 'reset' || name === 'brown-out';
  const where = power ? (point === 'inside' ? 'in the middle of' : point) : 'at';
  if (address !== undefined)
    return `${what} ${where} the next operation on sector ${Math.floor(Number(address) / 4096)}`;
  return `${what} ${phaseWords(phase)}, ${where} operation ${op}`;
}

/** What revives a dead device, as an instruction. */
export const CURES = {
  external: 'Press the reset button.',
  power: 'Unplug it and plug it in again.',
  serial: 'Only a serial upload helps: GPIO0 low, reset, and flash it with esptool.',
};

const WHY = {
  'no-image': 'There is nothing in flash that could be started.',
  'bad-checksum': 'The bootloader in sector 0 is damaged: its checksum is wrong.',
  'crash-loop': 'The application in flash is damaged: it crashes at every start.',
};

/** Why, in one sentence. */
export function deathWords({ why, message }) {
  if (WHY[why]) return WHY[why];
  // What helps is told beside it.
  const text = String(message ?? why).split(';')[0] ?? '';
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
