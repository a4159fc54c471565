/** Images packed with gzip, and the servers that compare them. Source: spec chapter 06, rows 12, 17, 18, 25. */
import { gzipSync } from 'node:zlib';
import { roundUpToSector } from '../../flash/geometry.ts';
import { layoutByName } from '../../flash/layouts.ts';
import type { Device } from '../device.ts';
import { signImage } from '../signing.ts';
import { PRIVATE_KEY, PUBLIC_KEY } from './keys.ts';
import { invite, md5 } from './peers.ts';
import type { Scenario } from './scenario.ts';

const POLLS = 3;

const sentMd5 = (device: Device): string =>
  device.events.recent('httpupdate.request').at(-1)?.headers['x-ESP8266-sketch-md5'] ?? '';

export const endlessUpdate: Scenario = {
  name: 'endless-update',
  rows: [12],
  title: 'the device installs the same version again at every poll of its server',
  threads: '#7307',
  cause:
    'the server compares the MD5 that the device sends with that of its file. The Updater has changed the flash mode in the ' +
    'header, so the sketch in flash has another MD5 than the file it came from, and always will. A packed image cannot be ' +
    'changed that way: what is unpacked keeps the mode it was built with, and its MD5 is that of the unpacked file.',
  cure:
    'build with the flash mode of the board, so that nothing is changed; of packed images let the server compare the MD5 of ' +
    'the unpacked file; or compare versions',
  async play(stage) {
    const image = (mode: 'dio' | 'dout', version: string) =>
      stage.image({ version, mode, sketch: 'http-update', size: 60_000 });
    const polls = async (next: Uint8Array, packed = false) => {
      const device = await stage.device({ image: image('dio', '1.0') }, 'http-update');
      let updates = 0;
      for (let poll = 0; poll < POLLS; poll++) {
        const { ok } = await stage.update(device, { path: 'http-update', image: packed ? gzipSync(next) : next });
        if (!ok) continue;
        updates++;
        await stage.settled(device);
      }
      return { device, updates };
    };
    stage.step('a DIO module polls three times; the server has an image built for DOUT');
    const other = image('dout', '2.0');
    const { device, updates } = await polls(other);
    stage.symptom(
      updates === POLLS && stage.running(device) === '2.0',
      `${updates} polls, ${updates} updates to the version that runs already`,
    );
    stage.evidence(
      sentMd5(device) !== md5(other) && device.flash.read(2, 1)[0] !== other[2],
      `the device sends ${sentMd5(device)}, the file has ${md5(other)}; the two differ in byte 2, the flash mode`,
    );
    stage.step('the same image packed');
    const packed = await polls(other, true);
    stage.evidence(
      packed.updates === POLLS && sentMd5(packed.device) === md5(other),
      'unpacked it has the MD5 of the unpacked file: a server that compares with the packed one sends it for ever, too',
    );
    stage.step('an image built for DIO');
    const good = await polls(image('dio', '2.0'));
    stage.cured(
      good.updates === 1 && stage.last(good.device, 'httpupdate.response').status === 304,
      'one update, then the server answers 304 Not Modified',
    );
  },
};

export const packedTooEarly: Scenario = {
  name: 'packed-too-early',
  rows: [17],
  title: 'devices with older firmware refuse the packed release',
  threads: '#6923, Tasmota #7964',
  cause:
    'whether a packed image is taken is decided by the firmware that runs, not by the one that comes. The Updater of cores ' +
    'before 2.7.0 wants 0xE9 as the first byte; that of a gzip file is 0x1F.',
  cure: 'in two steps: first an unpacked image built with core 2.7.0 or newer, then packed ones',
  async play(stage) {
    const image = (version: string, core: string) => stage.image({ version, core, size: 60_000 });
    const device = await stage.device({ image: image('1.0', '2.6.3') }, 'arduino-ota');
    stage.step('firmware of core 2.6.3 gets firmware.bin.gz');
    const packed = gzipSync(image('3.0', '2.7.4'));
    const refused = await stage.update(device, { path: 'arduino-ota', image: packed });
    stage.symptom(
      refused.error?.endsWith('ERROR[10]: Magic byte is not 0xE9'),
      'all of it is sent, then the device says "ERROR[10]: Magic byte is not 0xE9"',
    );
    stage.evidence(packed[0] === 0x1f && packed[1] === 0x8b, 'the file begins with 1F 8B: it is gzip');
    stage.step('first an unpacked image of core 2.7.4, then the packed one');
    await stage.update(device, { path: 'arduino-ota', image: image('2.0', '2.7.4') });
    await stage.settled(device);
    stage.require(stage.running(device) === '2.0', 'the first step is taken');
    await stage.update(device, { path: 'arduino-ota', image: packed });
    await stage.settled(device);
    stage.cured(stage.running(device) === '3.0', 'eboot unpacks it, and version 3.0 runs');
  },
};

export const signedAndPacked: Scenario = {
  name: 'signed-and-packed',
  rows: [18],
  title: 'after a signed and packed update the old version starts once, and never again',
  threads: '#7570',
  cause:
    'eboot reads how much to unpack from the last four bytes of what was staged. In a packed file that is its unpacked size; ' +
    'behind a signature it is the length of the signature, 256. So eboot writes 256 bytes of the new image into sector 0, ' +
    'erases the rest of that sector, reports success and starts the old application. The ROM cannot load what is left of eboot.',
  cure:
    'give such files only to firmware that verifies signatures: it takes signature and length off before eboot sees the ' +
    'image. All others need the file without the signature',
  async play(stage) {
    const image = (version: string) => stage.image({ version, size: 60_000 });
    const file = signImage(gzipSync(image('2.0')), PRIVATE_KEY);
    stage.step('firmware that verifies nothing gets firmware.bin.gz.signed');
    const device = await stage.device({ image: image('1.0') }, 'arduino-ota');
    const { ok } = await stage.update(device, { path: 'arduino-ota', image: file });
    await stage.settled(device);
    const once = stage.running(device);
    const state = await stage.restart(device, 'reset-button');
    stage.symptom(
      ok && once === '1.0' && state.state === 'dead' && device.serial.text().includes('csum err'),
      'the uploader is told OK; version 1.0 starts; after the next reset the device prints "csum err" and is dead',
    );
    stage.evidence(
      stage.last(device, 'eboot.copy').sector === 0 && device.flash.read(256, 16).every((byte) => byte === 0xff),
      'eboot wrote one sector, of which only the first 256 bytes are not erased',
    );
    stage.step('firmware with the public key gets the same file');
    const verifying = await stage.device({ image: image('1.0'), publicKey: PUBLIC_KEY }, 'arduino-ota');
    await stage.update(verifying, { path: 'arduino-ota', image: file });
    await stage.settled(verifying);
    const again = await stage.restart(verifying, 'reset-button');
    stage.cured(again.state === 'running' && stage.running(verifying) === '2.0', 'version 2.0 runs, after a reset too');
  },
};

/** WLED's ESP02 build: 2 MiB with 512 KiB of file system. */
const PLAN_LAYOUT = '2m512';
const KIB = 1024;
const RUNNING = 944 * KIB;
const PACKED = 613 * KIB;

/** What an update needs below the file system, and what there is. Bytes. */
export interface SpacePlan {
  readonly ok: boolean;
  /** The running sketch and the file that is sent, both in whole sectors. */
  readonly needed: number;
  readonly available: number;
  /** The largest sketch that may run for this file to fit. */
  readonly largestRunning: number;
}

/** @param fsStart of the layout @param running bytes of the running sketch @param file bytes sent, packed or not */
export function planSpace(fsStart: number, running: number, file: number): SpacePlan {
  const needed = roundUpToSector(running) + roundUpToSector(file);
  return { ok: needed <= fsStart, needed, available: fsStart, largestRunning: fsStart - roundUpToSector(file) };
}

export const packedTooLarge: Scenario = {
  name: 'packed-too-large',
  rows: [25],
  title: 'even the packed release does not fit any more',
  threads: 'WLED #5576',
  cause:
    'the file that is sent needs its place beside the sketch that runs, and that one lies in flash unpacked. Both in whole ' +
    'sectors must end before the file system begins: 944 KB and 613 KB are 1,557 KB, and there are 1,536 KB.',
  cure:
    'in two steps, by way of a small sketch that can do nothing but update; or a layout with a smaller file system, set up ' +
    'over the serial line',
  assumed: 'how the 1,557 KB of the thread are shared out between the running sketch and the packed file',
  async play(stage) {
    const layout = PLAN_LAYOUT;
    const { fsStart } = layoutByName(layout);
    const device = await stage.device(
      { image: stage.image({ version: '1.0', layout, size: RUNNING }), layout },
      'arduino-ota',
    );
    stage.step('944 KB run, and 613 KB are sent');
    const answer = await invite(stage, device, PACKED);
    stage.symptom(answer === 'ERR: ERROR[4]: Not Enough Space', `the uploader is told "${answer}"`);
    const plan = planSpace(fsStart, RUNNING, PACKED);
    stage.evidence(
      !plan.ok,
      `needed ${plan.needed / KIB} KB, available ${plan.available / KIB} KB; a sketch of up to ` +
        `${plan.largestRunning / KIB} KB may run`,
    );
    stage.step('first a sketch of 200,000 bytes, then the same packed file');
    const small = stage.image({ version: 'small', layout, size: 200_000 });
    stage.require(
      planSpace(fsStart, RUNNING, small.length).ok && planSpace(fsStart, small.length, PACKED).ok,
      'both fit',
    );
    await stage.update(device, { path: 'arduino-ota', image: small });
    await stage.settled(device);
    const again = await invite(stage, device, PACKED);
    stage.cured(stage.running(device) === 'small' && again === 'OK', 'the device says OK to 613 KB');
  },
};
