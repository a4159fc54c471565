/** What the chip decides before any code of the sketch runs. Source: spec chapter 06, rows 9 to 11; chapter 05 §14. */

import { invite } from './peers.ts';
import type { Scenario } from './scenario.ts';
import { flashWithoutReset } from './serial-host.ts';

const UART_DOWNLOAD = 1;

export const latchedStraps: Scenario = {
  name: 'latched-straps',
  rows: [9, 10],
  title: 'after a serial upload every update fails with ERROR[11], or the device hangs at its next restart',
  threads: '#3915, #1237, #2478, #1782, #3137, esphome.io #14, ElegantOTA #80',
  cause:
    'for the serial upload GPIO0 was held low, and the chip latched that at its reset. A tool that starts the new sketch ' +
    'without another reset leaves it latched: the next restart by software, whoever asks for it, ends in the serial loader. ' +
    'The Updater knows the state and refuses; a core before 2.4.0 does not, takes the update, and hangs.',
  cure: 'press the reset button, or cut the power, once after each serial upload: GPIO0 is high then, and that is latched',
  assumed: 'that the check came with core 2.4.0: the threads begin to show ERROR[11] with it',
  async play(stage) {
    const flashed = async (core: string) => {
      const device = await stage.device({ boot: 'download', layout: '4m2m' }, 'arduino-ota');
      await flashWithoutReset(stage, device, stage.image({ version: '1.0', core, size: 60_000 }));
      device.straps.gpio0 = 1;
      return device;
    };
    stage.step('a serial upload; the tool starts the sketch without a reset; GPIO0 is let go');
    const device = await flashed('master');
    stage.require(stage.running(device) === '1.0', 'the sketch runs');
    const answer = await invite(stage, device, 60_000);
    stage.symptom(
      answer === 'ERR: ERROR[11]: Invalid bootstrapping state, reset ESP8266 before updating',
      `the uploader is told "${answer}"`,
    );
    stage.evidence(
      stage.last(device, 'straps').latched === UART_DOWNLOAD,
      'the straps of the last reset are still in force: 1, UART download',
    );

    stage.step('the same with core 2.3.0, which does not look');
    const old = await flashed('2.3.0');
    const { ok } = await stage.update(old, {
      path: 'arduino-ota',
      image: stage.image({ version: '2.0', size: 60_000, core: '2.3.0' }),
    });
    await stage.until(old, 'hang', () => old.events.recent('device.dead').length > 0);
    stage.symptom(
      ok && /rst cause:\d, boot mode:\(1,\d\)/.test(old.serial.text().split('wdt reset')[0] ?? ''),
      'the uploader is told OK; the device prints "boot mode:(1,7)", after 13 seconds "wdt reset", and is silent',
    );
    stage.evidence(stage.last(old, 'device.dead').cure === 'external', 'it waits in the serial loader for ever');

    stage.step('the reset button on both');
    await stage.restart(old, 'reset-button');
    stage.cured(stage.running(old) === '2.0', 'the old core: the copy that was pending is made, and version 2.0 runs');
    await stage.restart(device, 'reset-button');
    await stage.update(device, { path: 'arduino-ota', image: stage.image({ version: '2.0', size: 60_000 }) });
    await stage.settled(device);
    stage.cured(stage.running(device) === '2.0', 'the present core: the update is taken, and version 2.0 runs');
  },
};

export const quadMode: Scenario = {
  name: 'quad-mode',
  rows: [11],
  title: 'an image built for QIO kills a module that can only do DIO',
  threads: '#4876',
  cause:
    'the third byte of an image says how the ROM is to read the flash. On modules that do not connect all four data lines, ' +
    'QIO reads nothing: after the copy the ROM cannot even load eboot.',
  cure: 'a core that puts the mode of the running sketch into the image as it arrives; or choose DIO or DOUT for such boards',
  assumed: 'that cores before 2.4.2 did not do so: the thread is from June 2018, and no chapter names a version',
  async play(stage) {
    const outcome = async (core: string) => {
      const from = stage.image({ version: '1.0', core, size: 60_000, mode: 'dio' });
      const device = await stage.device({ image: from, quadFlash: false }, 'arduino-ota');
      const to = stage.image({ version: '2.0', core, size: 60_000, mode: 'qio' });
      const { ok } = await stage.update(device, { path: 'arduino-ota', image: to });
      return { device, ok, ...(await stage.settled(device)) };
    };
    stage.step('core 2.3.0, a module without quad lines, an image built for QIO');
    const old = await outcome('2.3.0');
    const again = await stage.restart(old.device, 'power-cycle');
    stage.symptom(
      old.ok && again.state === 'dead' && old.device.serial.text().includes('csum err'),
      'the uploader is told OK; from the next reset on the device prints "csum err" and stays dead',
    );
    stage.evidence(
      old.device.flash.read(0, 4).toString() === '233,1,0,64',
      'the header in flash says mode 0, QIO; before the update it said 2, DIO',
    );
    stage.step('the same with the present core');
    const present = await outcome('master');
    stage.evidence(present.device.flash.read(2, 1)[0] === 2, 'the Updater wrote mode 2, DIO, into the header');
    const state = await stage.restart(present.device, 'power-cycle');
    stage.cured(state.state === 'running' && stage.running(present.device) === '2.0', 'version 2.0 runs');
  },
};
