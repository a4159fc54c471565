/** Chips, layouts and how much fits. Source: spec chapter 06, rows 22 to 24 and 26. */
import { roundUpToSector } from '../../flash/geometry.ts';
import { layoutByName } from '../../flash/layouts.ts';
import { formWithFile, invite, request } from './peers.ts';
import type { Scenario } from './scenario.ts';

export const wrongChipSize: Scenario = {
  name: 'wrong-chip-size',
  rows: [22],
  title: 'OTA is refused with ERROR[8] for ever, whatever is sent',
  threads: 'esphome-core #585, esphome/issues #218, espurna #1959, espurna #1549',
  cause:
    'over the serial line came an image built for a chip of 4 MiB, onto a module with 1 MiB. It runs, as it is small; but its ' +
    'header says 4 MiB, and the Updater compares that with the chip before it looks at anything else. No image that comes ' +
    'over the air can change the header, since none is taken.',
  cure: 'a serial upload of an image built for the chip that is really there',
  async play(stage) {
    const image = (version: string, layout: string) => stage.image({ version, layout, size: 60_000 });
    const wrong = { image: image('1.0', '4m2m'), layout: '4m2m', flashSize: '1M' };
    const device = await stage.device(wrong, 'arduino-ota');
    stage.step('an image for 4 MiB runs on a chip of 1 MiB; updates built for either size are offered');
    const answers = [await invite(stage, device, 60_000), await invite(stage, device, 40_000)];
    stage.symptom(
      answers.every((answer) => answer === 'ERR: ERROR[8]: Flash config wrong: real: 1048576, SDK: 4194304'),
      `each time the uploader is told "${answers[0]}"`,
    );
    stage.evidence(
      device.flash.read(3, 1)[0]! >> 4 === 4 && device.flash.chip.part.jedecId >>> 16 === 0x14,
      'the header in flash has size nibble 4, which is 4 MiB; the chip itself says 2^20 bytes',
    );
    stage.step('a serial upload of an image for 1 MiB');
    const cured = await stage.device({ image: image('1.1', '1m64'), layout: '1m64' }, 'arduino-ota');
    const { ok } = await stage.update(cured, { path: 'arduino-ota', image: image('2.0', '1m64') });
    await stage.settled(cured);
    stage.cured(ok && stage.running(cured) === '2.0', 'updates are taken again: version 2.0 runs');
  },
};

export const imageForLargerChip: Scenario = {
  name: 'image-for-larger-chip',
  rows: [23],
  title: 'the upload runs through, and at its end comes ERROR[9]: new Flash config wrong',
  threads: 'esphome/issues #564, espurna #998',
  cause:
    'the image was built for another board: its header claims a larger chip than there is. The Updater looks at the header ' +
    'only when everything has arrived; otherwise the new firmware would lock itself out as in wrong-chip-size.',
  cure: 'build for the board that the module is on, or for its real flash size',
  async play(stage) {
    const image = (version: string, layout: string) => stage.image({ version, layout, size: 60_000 });
    const device = await stage.device({ image: image('1.0', '1m64'), layout: '1m64' }, 'arduino-ota');
    stage.step('an image for 4 MiB is sent to a module with 1 MiB');
    const wrong = image('2.0', '4m2m');
    const { error } = await stage.update(device, { path: 'arduino-ota', image: wrong });
    stage.symptom(
      error?.endsWith('ERROR[9]: new Flash config wrong, real size: 1048576'),
      'the uploader is told "ERROR[9]: new Flash config wrong, real size: 1048576"',
    );
    stage.evidence(
      wrong[3]! >> 4 === 4 && stage.last(device, 'ota.ack').total === wrong.length,
      'all bytes were acknowledged before; the fourth of them says 4 MiB',
    );
    stage.step('the same sketch built for 1 MiB');
    await stage.update(device, { path: 'arduino-ota', image: image('2.0', '1m64') });
    await stage.settled(device);
    stage.cured(stage.running(device) === '2.0', 'version 2.0 runs');
  },
};

export const halfOfTheFlash: Scenario = {
  name: 'half-of-the-flash',
  rows: [24],
  title: 'ERROR[4]: the sketch has grown a little, and the update does not fit any more',
  threads: '#6549, #3739, #522, ESPEasy #5132, ESPEasy #2525',
  cause:
    'the new image is staged between the running one and the file system, both in whole sectors of 4,096 bytes. Once a sketch ' +
    'has more than half of that space it cannot replace itself, though it fits when it is uploaded over the serial line.',
  cure:
    'in two steps, by way of a small sketch that can do nothing but update; packing the image; or a layout with a smaller ' +
    'file system',
  async play(stage) {
    const layout = '1m64';
    const { fsStart } = layoutByName(layout);
    const size = 487_424;
    const image = (version: string, bytes: number) => stage.image({ version, layout, size: bytes });
    const device = await stage.device({ image: image('1.0', size), layout }, 'arduino-ota');
    stage.step(
      'a sketch of 487,424 bytes on 1 MiB with a file system of 64 KB is to be updated to one of 490,000 bytes',
    );
    const answer = await invite(stage, device, 490_000);
    stage.symptom(answer === 'ERR: ERROR[4]: Not Enough Space', `the uploader is told "${answer}"`);
    const limit = fsStart - roundUpToSector(size);
    stage.step('the limit is looked for');
    const at = [await invite(stage, device, limit), await invite(stage, device, limit + 1)];
    stage.evidence(
      at[0] === 'OK' && at[1] === answer,
      `0x${fsStart.toString(16)}, where the file system begins, less the running sketch in whole sectors are ${limit} bytes: ` +
        `so many are taken, ${limit + 1} are not`,
    );
    stage.step('first a sketch of 60,000 bytes, then the one of 490,000');
    for (const [version, bytes] of [
      ['small', 60_000],
      ['2.0', 490_000],
    ] as const) {
      await stage.update(device, { path: 'arduino-ota', image: image(version, bytes) });
      await stage.settled(device);
    }
    stage.cured(stage.running(device) === '2.0', 'version 2.0 runs');
  },
};

export const webIgnoresSize: Scenario = {
  name: 'web-ignores-size',
  rows: [26],
  title: 'the web form takes an image that cannot fit, and complains only when it is full',
  threads: '#2226',
  cause:
    'the form does not tell how large the file is before it comes, so the web server starts an update with all the space there ' +
    'is. The first check is the one that fails in the middle, and what fits has been written by then.',
  cure: 'ArduinoOTA and httpUpdate announce the size, and are told before the first byte; a script can ask for the free space',
  assumed: 'the present core is shown: what the one of 2016 did when the space was used up is not in the thread',
  async play(stage) {
    const layout = '512k32';
    const { fsStart } = layoutByName(layout);
    const image = stage.image({ version: '1.0', layout, size: 280_000 });
    const device = await stage.device({ image, layout }, 'web');
    stage.step('280,000 bytes run on a chip of 512 KiB; the next version of the same size is sent to the form');
    const next = stage.image({ version: '2.0', layout, size: 280_000 });
    const { type, body } = formWithFile('firmware', next);
    const answer = await request(stage, device, 'POST /update HTTP/1.1', [['Content-Type', type]], body);
    stage.symptom(
      answer?.start.includes(' 200 ') && answer.body === 'Update error: ERROR[4]: Not Enough Space\n',
      `only after the whole file the browser shows "${answer?.body.trimEnd()}"`,
    );
    const begin = stage.last(device, 'update.begin');
    const staged = device.events.recent('flash.program').filter(({ area }) => area === 'staging').length;
    stage.evidence(
      begin.size < next.length && begin.address === roundUpToSector(image.length) + 0x1000 && staged > 0,
      `the update began with ${begin.size} bytes, which is all there is from 0x${begin.address.toString(16)} to ` +
        `0x${fsStart.toString(16)}; ${staged} pages were written for nothing`,
    );
    stage.step('ArduinoOTA, which announces the size');
    const refused = await invite(stage, device, next.length);
    stage.cured(
      refused === 'ERR: ERROR[4]: Not Enough Space',
      `the uploader is told "${refused}" before it sends anything`,
    );
    const fits = await stage.update(device, {
      path: 'web',
      image: stage.image({ version: '2.0', layout, size: 60_000 }),
    });
    stage.cured(fits.ok, 'and an image that fits is taken by the form, too');
  },
};
