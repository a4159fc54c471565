/** What eboot itself did wrong, or leaves open. Source: spec chapter 06, rows 3 to 7. */

import type { Requests } from '../../eboot/machine.ts';
import type { EbootEnd, EbootOptions } from '../../eboot/model.ts';
import { eboot } from '../../eboot/model.ts';
import { PAGE_BYTES, roundUpToSector, SECTOR_BYTES } from '../../flash/geometry.ts';
import { parseImage } from '../../flash/image-format.ts';
import { layoutByName, layouts } from '../../flash/layouts.ts';
import type { FlashFaults } from '../../flash/nor-flash.ts';
import type { Device } from '../device.ts';
import { soundDesign } from '../sweep/defects.ts';
import type { Scenario } from './scenario.ts';

/** Inside the erase and the sixteen programs of sector 0, which come first in a copy. */
const IN_SECTOR_0 = 8;

export const bootSectorWindow: Scenario = {
  name: 'boot-sector-window',
  rows: [3],
  title: 'bricked by a reset in the first 60 ms after the restart, with the newest eboot',
  threads: 'PR #6538',
  cause:
    'sector 0 holds eboot itself, and the ROM starts nothing else. When the new image brings another eboot, that sector is ' +
    'erased and written first; until it is whole, neither a reset nor the command in RTC memory helps, because the program ' +
    'that would look at it is not there.',
  cure:
    'build every image of a device with the same core version and flash settings: eboot finds sector 0 equal, prints B and ' +
    'leaves it alone, and a reset at the same moment only begins the copy again',
  async play(stage) {
    const outcome = async (core: string) => {
      const device = await stage.device({ image: stage.image({ version: '1.0', core, size: 60_000 }) }, 'arduino-ota');
      device.faults.arm(`reset@copy:${IN_SECTOR_0}`);
      await stage.update(device, { path: 'arduino-ota', image: stage.image({ version: '2.0', size: 60_000 }) });
      return { device, ...(await stage.settled(device)) };
    };
    stage.step('an image with another eboot; the reset button is pressed while eboot writes its first sector');
    const other = await outcome('3.0.2');
    stage.symptom(
      other.state === 'dead' && other.device.serial.text().trimEnd().endsWith('ets_main.c'),
      'the device is dead, and all it prints after the reset is "ets_main.c"',
    );
    stage.evidence(
      stage.last(other.device, 'eboot.command').source > 0 &&
        stage.last(other.device, 'rom.boot').failure !== undefined,
      `the ROM gave up on sector 0 (${stage.last(other.device, 'rom.boot').failure}); the command waits in RTC memory in vain`,
    );
    stage.step('an image with the same eboot, the button at the same operation');
    const same = await outcome('master');
    stage.evidence(
      same.device.events.recent('eboot.copy').some(({ sector, skipped }) => sector === 0 && skipped),
      'eboot left sector 0 alone: @cp:B0',
    );
    stage.cured(same.state === 'running' && stage.running(same.device) === '2.0', 'version 2.0 runs');
  },
};

export const twoSlots: Scenario = {
  name: 'two-slots',
  rows: [4],
  title: 'why does it copy at all? two slots, A and B, could never brick',
  threads: '#8133',
  cause:
    'code is linked for the address it runs at. The CPU sees one MiB of the chip at a time, and the core’s eboot shows it the ' +
    'first: an image runs from one place. ' +
    'eboot therefore copies over what runs, and for as long as that takes there is no whole image at that place.',
  cure:
    'no release of the core has slots. The same safety costs one sector: a bootloader that keeps command and progress in flash ' +
    'goes on where it was cut off. Until then: a short copy, the same eboot in every image, and steady power',
  assumed:
    'the comparison takes a slot to be whole sectors, and two words of state in a sector of their own; the bootloader with the ' +
    'journal is one of this program, not of the core',
  async play(stage) {
    const size = 300_000;
    const [from, to] = ['1.0', '2.0'].map((version) => stage.image({ version, size })) as [Uint8Array, Uint8Array];
    const sectors = roundUpToSector(size) / SECTOR_BYTES;
    stage.step('one loss of power in the middle of the copy');
    const today = await stage.device({ image: from }, 'arduino-ota');
    today.faults.arm('power-cut@copy:600:inside');
    await stage.update(today, { path: 'arduino-ota', image: to });
    await stage.settled(today);
    const dead = await stage.restart(today, 'power-cycle');
    stage.symptom(dead.state === 'dead', 'the device is dead: the old image is gone, the new one not yet there');
    stage.evidence(
      today.events.recent('eboot.copy').every(({ sector }) => sector * SECTOR_BYTES < size),
      `all ${sectors} sectors that eboot erases are those of the running image`,
    );
    const slots = layouts.filter(({ fsStart }) => fsStart >= 2 * roundUpToSector(size));
    const staged = layouts.filter(({ fsStart }) => fsStart - roundUpToSector(size) >= roundUpToSector(size));
    stage.evidence(
      slots.length === staged.length,
      `space is not the reason: ${slots.length} of ${layouts.filter(({ chipSize }) => chipSize > 0).length} layouts hold two ` +
        `images of ${size} bytes, and the staging area of the copy needs just as much`,
    );
    stage.step('the same loss of power under a bootloader that notes each finished sector in flash');
    const sound = await stage.device({ image: from, alter: soundDesign(layoutByName('4m2m')) }, 'arduino-ota');
    sound.faults.arm('power-cut@copy:600:inside');
    await stage.update(sound, { path: 'arduino-ota', image: to });
    await stage.settled(sound);
    await stage.restart(sound, 'power-cycle');
    stage.cured(
      sound.events.recent('power.off').length > 0 && stage.running(sound) === '2.0',
      'the power was lost at the same point, the copy went on afterwards, and version 2.0 runs',
    );
  },
};

/** Every so many pages the weak chip loses one. */
const LOSES_EVERY = 150;

/**
 * An XMC chip whose drivers are weak until software sets their strength: at the speed that the ROM leaves behind, some
 * programs do not take, and nobody is told. The core of 2.7.1 and later sets the strength at its start, and the chip
 * remembers it as long as it has power.
 */
class XmcChip implements FlashFaults {
  lost: number[] = [];
  private strong = false;
  private programs = 0;

  constructor(private readonly device: Device) {
    device.flash.chip.faults = this;
    device.events.subscribe(({ type }) => {
      if (type === 'app.start') this.strong = setsDriveStrength(device);
      if (type === 'power.off') this.strong = false;
    });
  }

  decide(operation: Parameters<FlashFaults['decide']>[0]): ReturnType<FlashFaults['decide']> {
    const { device } = this;
    const weak = operation.kind === 'program' && device.phase === 'copy' && !this.strong;
    if (weak && ++this.programs % LOSES_EVERY === 0) {
      this.lost.push(operation.address);
      return { do: 'drop' };
    }
    return device.faults.decide(operation);
  }
}

const FIRST_WITH_QUIRKS = [2, 7, 1] as const;

function setsDriveStrength({ flash }: Device): boolean {
  const core = parseImage(flash.read(0, 0x100000)).manifest?.core ?? 'master';
  const version = core.split('.').map(Number);
  const differing = FIRST_WITH_QUIRKS.findIndex((part, index) => part !== version[index]);
  return core === 'master' || differing < 0 || version[differing]! > FIRST_WITH_QUIRKS[differing]!;
}

export const xmcFlash: Scenario = {
  name: 'xmc-flash',
  rows: [5],
  title: 'updates fail on modules with an XMC flash chip, the same file works on all others',
  threads: '#7267, Tasmota #8334',
  cause:
    'eboot runs at the speed that the ROM left and with the weak drivers that this chip wakes up with: now and then a page is ' +
    'not programmed. The ROM reports success all the same, and eboot reads nothing back, so it prints cp:0 and starts the ' +
    'damaged image.',
  cure: 'firmware of core 2.7.1 or newer: it sets the drivers to full strength at its start, and they stay so for the copy',
  assumed:
    'which pages are lost (every 150th), and that 2.7.1 is the first core with the remedy: the thread tells the symptom, and ' +
    'chapter 01 §2.4 the remedy without a version',
  async play(stage) {
    const cell = async (core: string, cut?: string) => {
      const from = stage.image({ version: '1.0', core, size: 100_000 });
      const to = stage.image({ version: '2.0', core, size: 100_000 });
      const device = await stage.device({ image: from, flashId: 0x164020 }, 'arduino-ota');
      const chip = new XmcChip(device);
      // The chip saw no start yet: let the firmware set what it sets.
      await stage.restart(device, 'reset-button');
      if (cut !== undefined) device.faults.arm(cut);
      const { ok } = await stage.update(device, { path: 'arduino-ota', image: to });
      return { device, chip, to, ok, ...(await stage.settled(device)) };
    };
    stage.step('core 2.6.3 on an XMC chip: the plug is pulled just before the copy, as people tried by hand');
    const before = await cell('2.6.3', 'power-cut@copy:0');
    await stage.restart(before.device, 'power-cycle');
    stage.evidence(stage.running(before.device) === '1.0', 'before the copy nothing is lost: version 1.0 runs');
    stage.step('the same update without a cut');
    const weak = await cell('2.6.3');
    stage.symptom(
      weak.ok && weak.state === 'dead' && weak.device.serial.text().includes('cp:0'),
      'the uploader is told OK, eboot says cp:0, and the new firmware crashes at every start',
    );
    const at = weak.chip.lost.find((address) => address < weak.to.length)!;
    stage.evidence(
      weak.device.flash.read(at, PAGE_BYTES).every((byte) => byte === 0xff),
      `${weak.chip.lost.length} pages were never programmed; the one at 0x${at.toString(16)} is still erased`,
    );
    stage.step('the same with core 2.7.4');
    const strong = await cell('2.7.4');
    stage.evidence(strong.chip.lost.length === 0, 'with strong drivers the chip took every page');
    stage.cured(strong.state === 'running' && stage.running(strong.device) === '2.0', 'version 2.0 runs');
  },
};

/** The chip's watchdog, when nobody sets it, bites after this time. Microseconds. */
const WATCHDOG_US = 8_400_000;

/** eboot of before 2.0.0: it leaves the watchdog running while it copies. */
function* impatientEboot(options: EbootOptions, nowUs: () => number): Requests<EbootEnd> {
  const host = { ...options.host, watchdog: () => {} };
  const inner = eboot({ ...options, host });
  const startedAt = nowUs();
  let step = inner.next();
  while (!step.done) {
    if (nowUs() - startedAt > WATCHDOG_US) return { outcome: 'hang', reason: 'watchdog', pc: 0 };
    step = inner.next(yield step.value);
  }
  return step.value;
}

export const watchdogInCopy: Scenario = {
  name: 'watchdog-in-copy',
  rows: [6],
  title: 'small sketches update well, large ones leave a dead device four times out of five',
  threads: '#517',
  cause:
    'the watchdog that the sketch left running was not stopped by eboot. A copy of a large sketch, or on a chip that erases ' +
    'slowly, takes longer than it waits: it resets the chip in the middle, and the command was cleared before the copy began.',
  cure: 'eboot of core 2.0.0 or newer: it stops the watchdog for the copy',
  assumed:
    'that the watchdog waits 8.4 s, as the SDK leaves it; the thread says only that stopping it helped. No eboot of a release ' +
    'leaves it running, so the old one is the model with its two watchdog calls left out, and clears its command first',
  async play(stage) {
    const outcome = async (size: number, impatient: boolean) => {
      let running: Device | undefined;
      const alter = { bootloader: (options: EbootOptions) => impatientEboot(options, () => running?.nowUs ?? 0) };
      const images = ['1.0', '2.0'].map((version) => stage.image({ version, size, core: '2.3.0' }));
      const device = await stage.device({ image: images[0], ...(impatient ? { alter } : {}) }, 'arduino-ota');
      running = device;
      await stage.update(device, { path: 'arduino-ota', image: images[1]! });
      const { state } = await stage.settled(device);
      const copyUs = stage.last(device, 'app.start').atUs - stage.last(device, 'eboot.command').atUs;
      return { device, state, seconds: copyUs / 1e6 };
    };
    stage.step('the old eboot copies 100,000 bytes');
    const small = await outcome(100_000, true);
    stage.require(stage.running(small.device) === '2.0', 'the small sketch is installed');
    stage.step('the old eboot copies 640,000 bytes');
    const large = await outcome(640_000, true);
    stage.symptom(large.state === 'dead', 'the small sketch runs; after the large one the device is dead');
    stage.evidence(
      large.device.events.recent('reset').some(({ cause }) => cause === 'hardware-watchdog') &&
        large.device.serial.text().includes('wdt reset'),
      'in the middle of the copy the serial line shows "wdt reset"',
    );
    stage.step('an eboot that stops the watchdog copies the same 640,000 bytes');
    const patient = await outcome(640_000, false);
    stage.evidence(patient.seconds > WATCHDOG_US / 1e6, `the copy takes ${patient.seconds.toFixed(1)} seconds`);
    stage.cured(stage.running(patient.device) === '2.0', 'version 2.0 runs');
  },
};

export const compareHang: Scenario = {
  name: 'compare-hang',
  rows: [7],
  title: 'sketches above 560 KB hang after the update until somebody presses reset',
  threads: '#7458, PR #7468',
  cause:
    'eboot of core 2.7.2 reads staging area and copy once more and compares them. A large image is copied over the beginning ' +
    'of its own staging area: the copy is good, but there is nothing left to compare it with. eboot takes that for a failure ' +
    'and resets the chip in a way from which the ROM does not start.',
  cure: 'eboot of core 2.7.3 or newer, which does not compare; press reset once: the copy itself was good',
  async play(stage) {
    // From a small sketch, so that the Updater accepts a large one.
    const outcome = async (core: string) => {
      const image = { layout: '1m64', core };
      const from = stage.image({ version: '1.0', size: 200_000, ...image });
      const device = await stage.device({ image: from, layout: '1m64' }, 'arduino-ota');
      await stage.update(device, {
        path: 'arduino-ota',
        image: stage.image({ version: '2.0', size: 570_000, ...image }),
      });
      return { device, ...(await stage.settled(device)) };
    };
    stage.step('core 2.7.2 on a chip of 1 MiB gets 570,000 bytes');
    const { device, state } = await outcome('2.7.2');
    const text = device.serial.text();
    stage.symptom(
      state === 'dead' && /@cp:0\ncmp:9\n/.test(text) && text.trimEnd().endsWith('ets_main.c'),
      'eboot prints "@cp:0", "cmp:9", and nothing starts any more',
    );
    const command = stage.last(device, 'eboot.command');
    stage.evidence(
      command.source < command.size,
      `the staging area began at 0x${command.source.toString(16)}, the image ends at 0x${command.size.toString(16)}: they overlap`,
    );
    await stage.restart(device, 'reset-button');
    stage.evidence(stage.running(device) === '2.0', 'after the reset button version 2.0 runs: the copy was good');
    stage.step('the same with core 2.7.3');
    const good = await outcome('2.7.3');
    stage.cured(good.state === 'running' && stage.running(good.device) === '2.0', 'version 2.0 starts by itself');
  },
};
