/** Power and resets while eboot copies. Source: spec chapter 06, rows 1 to 4, 6, 8. */
import type { Scenario } from './scenario.ts';

/** Somewhere in the middle of the copy of 300,000 bytes: 74 sectors of 17 operations. */
const MIDDLE = 600;

export const powerLostInCopy: Scenario = {
  name: 'power-lost-in-copy',
  rows: [1],
  title: 'bricked by a power loss right after the upload',
  threads: '#905',
  cause:
    'eboot copies the new image over the running one, in place. The order to do so is a record in RTC memory, which a power ' +
    'loss erases: half of the flash holds the new image, half the old one, and nothing remembers that a copy was under way.',
  cure: 'a serial upload; power that lasts for the second after the upload; or an update that never overwrites what runs',
  async play(stage) {
    const from = stage.image({ version: '1.0' });
    const to = stage.image({ version: '2.0' });
    const device = await stage.device({ image: from }, 'arduino-ota');

    stage.step('the power goes while the upload is being staged');
    device.faults.arm('power-cut@staging:300:inside');
    await stage.update(device, { path: 'arduino-ota', image: to });
    await stage.restart(device, 'power-cycle');
    stage.evidence(stage.running(device) === '1.0', 'a cut before the copy is harmless: version 1.0 runs');

    stage.step('the same update again; now the power goes while eboot copies');
    device.faults.arm(`power-cut@copy:${MIDDLE}:inside`);
    const { ok } = await stage.update(device, { path: 'arduino-ota', image: to });
    stage.require(ok, 'the uploader is told OK');
    await stage.settled(device);
    const state = await stage.restart(device, 'power-cycle');
    stage.symptom(
      state.state === 'dead' && state.cure === 'serial',
      `the uploader said OK, and the device is dead: ${'message' in state ? state.message : ''}`,
    );
    stage.evidence(
      device.events.recent('eboot.command').length === 1,
      'eboot found its command once, before the power loss',
    );
    stage.evidence(
      same(device.flash.read(0x1000, 4096), to.subarray(0x1000, 0x2000)) &&
        same(device.flash.read(0x40000, 4096), from.subarray(0x40000, 0x41000)),
      'at 0x1000 the flash holds version 2.0, at 0x40000 still version 1.0',
    );

    stage.step('a serial upload');
    const cured = await stage.device({ image: to }, 'arduino-ota');
    stage.cured(stage.running(cured) === '2.0', 'version 2.0 runs');
  },
};

export const resetInCopy: Scenario = {
  name: 'reset-in-copy',
  rows: [2],
  title: 'bricked by a reset, not even a power loss, right after the upload',
  threads: 'PR #6823',
  cause:
    'eboot before core 2.6.3 erased its command before it copied. A reset keeps RTC memory, but nothing was left in it that ' +
    'could finish the copy.',
  cure: 'an eboot of core 2.6.3 or newer: it erases the command after the copy, so a reset begins the copy again',
  async play(stage) {
    const outcome = async (core: string): Promise<{ state: string; version: string | undefined; commands: number }> => {
      const device = await stage.device({ image: stage.image({ version: '1.0', core }), core }, 'arduino-ota');
      device.faults.arm(`reset@copy:${MIDDLE}`);
      await stage.update(device, { path: 'arduino-ota', image: stage.image({ version: '2.0', core }) });
      const { state } = await stage.settled(device);
      return { state, version: stage.running(device), commands: device.events.recent('eboot.command').length };
    };
    stage.step('core 2.5.0: the reset button is pressed while eboot copies');
    const early = await outcome('2.5.0');
    stage.symptom(early.state === 'dead', 'the device is dead, although the power was never off');
    stage.evidence(early.commands === 1, 'after the reset eboot found no command any more');
    stage.step('the same with core 2.6.3');
    const late = await outcome('2.6.3');
    stage.evidence(late.commands === 2, 'after the reset eboot found the command once more');
    stage.cured(late.state === 'running' && late.version === '2.0', 'the copy began again, and version 2.0 runs');
  },
};

export const lostCommand: Scenario = {
  name: 'lost-command',
  rows: [8],
  title: 'the upload succeeds, but the old program starts',
  threads: '#1026',
  cause:
    'nothing but the eboot command in RTC memory says that there is something to copy. Where its checksum is wrong, because ' +
    'something else wrote there or the supply dipped, eboot starts what is at 0x1000.',
  cure: 'repeat the update; keep the sketch away from the first 128 bytes of RTC user memory',
  async play(stage) {
    const device = await stage.device({ image: stage.image({ version: '1.0' }) }, 'arduino-ota');
    stage.step('the supply dips while the device restarts after the upload: RTC memory has flipped bits');
    device.faults.arm('brown-out@copy:0');
    const { ok } = await stage.update(device, { path: 'arduino-ota', image: stage.image({ version: '2.0' }) });
    await stage.settled(device);
    stage.symptom(ok && stage.running(device) === '1.0', 'the uploader was told OK, yet version 1.0 runs');
    stage.evidence(
      device.events.recent('eboot.command').length === 1 &&
        device.events.recent('eboot.copy').every(({ skipped }) => skipped),
      'eboot had its command, but after the dip it saw none, and no sector was copied',
    );
    stage.step('the same update again');
    await stage.update(device, { path: 'arduino-ota', image: stage.image({ version: '2.0' }) });
    await stage.settled(device);
    stage.cured(stage.running(device) === '2.0', 'version 2.0 runs');
  },
};

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
