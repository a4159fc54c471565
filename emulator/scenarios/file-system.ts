/** Updates of the file system, and what sketch updates do to it. Source: spec chapter 06, rows 13 to 16. */
import { gzipSync } from 'node:zlib';
import { layoutByName } from '../../flash/layouts.ts';
import type { Device } from '../device.ts';
import { SKETCHES } from '../sketches/index.ts';
import type { SketchFactory } from '../sketches/sketch.ts';
import { makeLittleFs, mountLittleFs } from './little-fs.ts';
import type { Scenario, Stage } from './scenario.ts';

const LAYOUT = '1m64';
const FILE = 'config.txt';

/** A sketch with ArduinoOTA that mounts its file system at start and prints the file in it. */
const fileReader: SketchFactory = (core) => {
  const ota = SKETCHES['basic-ota']?.(core);
  return {
    async setup() {
      const { fsStart, fsBlock } = core.ESP.flash.layout;
      const pair = core.ESP.flash.flashRead(fsStart, 2 * fsBlock);
      const files = pair ? mountLittleFs(pair, fsBlock) : 'read error';
      if (typeof files === 'string') core.Serial.println(`Failed to mount file system: ${files}`);
      else core.Serial.println(`${FILE}: ${files.get(FILE) ?? 'no such file'}`);
      await ota?.setup?.();
    },
    loop: () => ota?.loop?.(),
  };
};

/** A sketch whose heap runs out in the middle of an upload. */
const leaking: SketchFactory = (core) => {
  const reader = fileReader(core);
  return {
    async setup() {
      await reader.setup?.();
      core.ArduinoOTA.onProgress((done) => {
        if (!core.ports.system.allocate(BYTES_PER_CHUNK))
          core.crash(LOAD_STORE_ERROR, `out of memory after ${done} bytes`);
      });
    },
    loop: () => reader.loop?.(),
  };
};
/** With 30,000 bytes of heap and the Updater's buffer of 4096, the fifth chunk is one too many. */
const BYTES_PER_CHUNK = 6000;
const LOAD_STORE_ERROR = 29;

const alter = { sketches: { 'file-reader': fileReader, leaking } };

/** What the sketch printed about its file system at its last start. */
const said = (device: Device): string =>
  device.serial
    .text()
    .split(/\r?\n/)
    .findLast((line) => line.startsWith(FILE) || line.startsWith('Failed to mount')) ?? '';

const geometry = (layout: string) => {
  const { fsSize, fsBlock } = layoutByName(layout);
  return { size: fsSize, block: fsBlock };
};

/** A device with a file system that says so. */
async function withFiles(stage: Stage, options: { core?: string; sketch?: string; atomicFs?: boolean; text?: string }) {
  const { core = 'master', sketch = 'file-reader', atomicFs = false, text = 'old' } = options;
  const image = stage.image({ version: '1.0', core, sketch, layout: LAYOUT, size: 60_000 });
  const device = await stage.device({ image, layout: LAYOUT, alter, atomicFs }, 'arduino-ota');
  device.flash.chip.load(layoutByName(LAYOUT).fsStart, makeLittleFs(geometry(LAYOUT), { [FILE]: text }));
  await stage.restart(device, 'reset-button');
  stage.require(said(device) === `${FILE}: ${text}`, 'the file can be read');
  return device;
}

export const alteredFileSystem: Scenario = {
  name: 'altered-file-system',
  rows: [13],
  title: 'LittleFS cannot be mounted after an update over the air, the same image works over the serial line',
  threads: '#6880',
  cause:
    'the Updater puts the flash mode of the running sketch into the third byte of whatever arrives, file systems too. There ' +
    'it is part of the first block, whose checksum is then wrong. The MD5 was taken before, so the update succeeds.',
  cure: 'core 2.7.0 or newer: only sketches are changed',
  assumed: 'that 2.7.0 is the first such core: the thread is from December 2019',
  async play(stage) {
    const next = makeLittleFs(geometry(LAYOUT), { [FILE]: 'new' });
    const outcome = async (core: string) => {
      const device = await withFiles(stage, { core });
      const { ok } = await stage.update(device, { path: 'arduino-ota', target: 'fs', image: next });
      await stage.settled(device);
      return { device, ok, first: device.flash.read(layoutByName(LAYOUT).fsStart, 3) };
    };
    stage.step('core 2.6.3 gets a file system, by ArduinoOTA');
    const old = await outcome('2.6.3');
    stage.symptom(
      old.ok && said(old.device).startsWith('Failed to mount'),
      `the uploader is told OK; the sketch prints "${said(old.device)}"`,
    );
    stage.evidence(
      old.first[2] !== next[2] && old.first[2] === old.device.flash.read(2, 1)[0],
      `byte 2 of the file system is ${old.first[2]} in flash and ${next[2]} in the file; ${old.first[2]} is the flash mode`,
    );
    stage.step('core 2.7.0 gets the same file');
    const good = await outcome('2.7.0');
    stage.cured(said(good.device) === `${FILE}: new`, `the sketch prints "${said(good.device)}"`);
  },
};

export const crashInFileSystem: Scenario = {
  name: 'crash-in-file-system',
  rows: [14],
  title: 'the sketch crashes during a file system update, and all files are gone',
  threads: '#7950',
  cause:
    'a file system is written where it lies, sector by sector as it arrives. When the sketch runs out of memory in the middle, ' +
    'there are some blocks of the new one and some of the old one, and neither can be mounted.',
  cure: 'build with ATOMIC_FS_UPDATE: the file system is staged like a sketch, and put in place only when it is whole',
  async play(stage) {
    // The valid one of the first two blocks is the second, as after any change of a file system.
    const { block } = geometry(LAYOUT);
    const next = makeLittleFs(geometry(LAYOUT), { [FILE]: 'new' });
    next.copyWithin(block, 0, block).fill(0xff, 0, block);
    const outcome = async (atomicFs: boolean) => {
      const device = await withFiles(stage, { sketch: 'leaking', atomicFs });
      const { ok, error = '' } = await stage.update(device, { path: 'arduino-ota', target: 'fs', image: next });
      await stage.settled(device);
      return { device, ok, error };
    };
    stage.step('a sketch that loses memory with every chunk, without ATOMIC_FS_UPDATE');
    const { device } = await outcome(false);
    const crash = stage.last(device, 'app.crash').reason;
    stage.symptom(said(device).startsWith('Failed to mount'), `${crash}; then "${said(device)}"`);
    const written = device.events.recent('flash.program').filter(({ area }) => area === 'fs');
    stage.evidence(written.length > 0, `${written.length} pages of the file system were written before the crash`);
    stage.step('the same sketch, built with ATOMIC_FS_UPDATE');
    const atomic = await outcome(true);
    stage.evidence(
      atomic.device.events.recent('flash.program').every(({ area }) => area !== 'fs'),
      'it crashes just the same, but not one page of the file system was touched',
    );
    stage.cured(said(atomic.device) === `${FILE}: old`, `the sketch prints "${said(atomic.device)}"`);
  },
};

export const packedFileSystem: Scenario = {
  name: 'packed-file-system',
  rows: [15],
  title: 'a file system packed with gzip uploads well and cannot be mounted',
  threads: '#7971, #7178',
  cause:
    'gzip is unpacked by eboot, and eboot sees only what was staged for it. Without ATOMIC_FS_UPDATE a file system is not ' +
    'staged: the packed bytes go straight to where the files should be.',
  cure: 'build with ATOMIC_FS_UPDATE, or upload the file system unpacked',
  async play(stage) {
    const packed = gzipSync(makeLittleFs(geometry(LAYOUT), { [FILE]: 'new' }), { level: 9 });
    const outcome = async (atomicFs: boolean) => {
      const device = await withFiles(stage, { atomicFs });
      const { ok } = await stage.update(device, { path: 'arduino-ota', target: 'fs', image: packed });
      await stage.settled(device);
      return { device, ok };
    };
    stage.step('littlefs.bin.gz, without ATOMIC_FS_UPDATE');
    const { device, ok } = await outcome(false);
    stage.symptom(
      ok && said(device).startsWith('Failed to mount'),
      `the uploader is told OK; the sketch prints "${said(device)}"`,
    );
    const start = device.flash.read(layoutByName(LAYOUT).fsStart, 2);
    stage.evidence(
      start[0] === 0x1f && start[1] === 0x8b,
      'the file system begins with 1F 8B, the first two bytes of every gzip file',
    );
    stage.step('the same file, with ATOMIC_FS_UPDATE');
    const atomic = await outcome(true);
    stage.cured(
      said(atomic.device) === `${FILE}: new`,
      `eboot unpacks it, and the sketch prints "${said(atomic.device)}"`,
    );
  },
};

export const movedFileSystem: Scenario = {
  name: 'moved-file-system',
  rows: [16],
  title: 'all files are lost after a sketch update over the air',
  threads: '#5040',
  cause:
    'where the file system begins is no property of the chip but a number in each sketch, from the layout that was chosen when ' +
    'it was built. A sketch built for another layout looks in another place; the files are where they were.',
  cure: 'build every sketch of a device for the same layout; going back to it brings the files back, if nothing was written',
  assumed: 'the thread never found the cause; a changed layout is the one that fits, and the one shown here',
  async play(stage) {
    const [here, there] = ['4m2m', '4m1m'] as const;
    const image = (version: string, layout: string) =>
      stage.image({ version, layout, sketch: 'file-reader', size: 60_000 });
    const options = { image: image('1.0', here), layout: here, alter, layoutFromImage: true };
    const device = await stage.device(options, 'arduino-ota');
    const files = makeLittleFs(geometry(here), { [FILE]: 'precious' });
    device.flash.chip.load(layoutByName(here).fsStart, files);
    await stage.restart(device, 'reset-button');
    stage.require(said(device) === `${FILE}: precious`, 'the file can be read');

    stage.step('version 2.0, built with "4MB (FS:1MB)" instead of "4MB (FS:2MB)"');
    await stage.update(device, { path: 'arduino-ota', image: image('2.0', there) });
    await stage.settled(device);
    stage.symptom(
      stage.running(device) === '2.0' && said(device).startsWith('Failed to mount'),
      `version 2.0 prints "${said(device)}"`,
    );
    const { fsStart } = layoutByName(here);
    stage.evidence(
      Buffer.compare(device.flash.read(fsStart, files.length), files) === 0,
      `every byte of the files is still at 0x${fsStart.toString(16)}; version 2.0 looks at 0x${layoutByName(there).fsStart.toString(16)}`,
    );
    stage.step('version 2.1, built for the old layout');
    await stage.update(device, { path: 'arduino-ota', image: image('2.1', here) });
    await stage.settled(device);
    stage.cured(said(device) === `${FILE}: precious`, `version 2.1 prints "${said(device)}"`);
  },
};
