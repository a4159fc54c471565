/** What follows a good update. Source: spec chapter 03 §9; rows 51 to 54 of §14. */
import { describe, expect, test } from 'vitest';
import {
  OTA_ERASE_CFG_ABORT_ON_ERROR,
  OTA_ERASE_CFG_IGNORE_ERROR,
} from '../../ota-services/arduino-ota/ota-constants.ts';
import { imageByRule, OtaBench, type OtaBenchOptions } from '../support/ota-bench.ts';

const image = imageByRule(3640);
const CONFIG_START = 0x3fc000;

async function updated(options: OtaBenchOptions): Promise<OtaBench> {
  const bench = new OtaBench(options);
  bench.chip.load(CONFIG_START - 4096, new Uint8Array(0x5000).fill(0x5a));
  await bench.advance(5);
  bench.uploader(image).invite();
  await bench.until(() => bench.lines.includes('End'), 'End');
  await bench.advance(500);
  return bench;
}

/** The first of the four sectors fails, or a later one. */
const eraseFailsAt = (sector: number): NonNullable<OtaBenchOptions['faults']> => ({
  decide: ({ kind, address }) => (kind === 'erase' && address === sector * 4096 ? { do: 'fail' } : undefined),
});

describe('rebooting', () => {
  test('100 ms after End the device restarts', async () => {
    const bench = await updated({});
    expect(bench.restart).toBe('restart');
    const [end] = bench.events.filter(({ type }) => type === 'ota.end');
    expect(end!.atMs - bench.serial.at(-1)!.atMs).toBeCloseTo(100, 3);
    expect(bench.wifiIsOn).toBe(true);
  });

  test('row 51: setRebootOnSuccess(false): the sketch goes on, the eboot command stays, erase-config is not looked at', async () => {
    const bench = await updated({
      setup: (ota) => {
        ota.setRebootOnSuccess(false);
        ota.setEraseConfig();
      },
    });
    expect(bench.restart).toBeUndefined();
    expect(bench.bootCommand?.size).toBe(3640);
    expect(bench.eventsOf('ota.end')).toMatchObject([{ ok: true, reboot: false }]);
    expect(bench.chip.peek(CONFIG_START, 4)[0]).toBe(0x5a);
    const second = bench.uploader(imageByRule(5000)).invite();
    await bench.until(() => bench.bootCommand?.size === 5000, 'the second update');
    await bench.advance(3000);
    expect(second.replies).toEqual(['OK']);
  });

  test('row 52: erase-config: the last four sectors are erased, and the reset counts as external', async () => {
    const bench = await updated({ setup: (ota) => ota.setEraseConfig() });
    expect(bench.restart).toBe('hardware');
    expect(bench.wifiIsOn).toBe(false);
    expect(bench.chip.peek(CONFIG_START, 0x4000).every((byte) => byte === 0xff)).toBe(true);
    expect(bench.chip.peek(CONFIG_START - 1, 1)[0]).toBe(0x5a);
    expect(bench.bootCommand?.size).toBe(3640);
    expect(bench.eventsOf('ota.end')).toMatchObject([{ ok: true, reboot: true }]);
    expect(bench.debug.slice(-2)).toEqual(['Rebooting...\n', 'Erase Config and Hard Reset ...\n']);
  });

  test('onEnd may still choose the erase mode, as OTAEraseConfig does', async () => {
    const bench = await updated({
      setup: (ota, made) =>
        ota.onEnd(() => {
          made.print('End');
          ota.setEraseConfig(OTA_ERASE_CFG_ABORT_ON_ERROR);
        }),
    });
    expect(bench.restart).toBe('hardware');
  });

  test('row 53: ABORT and the erase fails: Error[5], no restart, the eboot command is gone, Wi-Fi stays off', async () => {
    const bench = await updated({
      setup: (ota) => ota.setEraseConfig(OTA_ERASE_CFG_ABORT_ON_ERROR),
      faults: eraseFailsAt(0x3fd),
    });
    expect(bench.restart).toBeUndefined();
    expect(bench.bootCommand).toBeUndefined();
    expect(bench.wifiIsOn).toBe(false);
    expect(bench.lines.slice(-2)).toEqual(['End', 'Error[5]']);
    expect(bench.eventsOf('ota.error')).toMatchObject([{ code: 5, name: 'ERASE_SETTINGS' }]);
    expect(bench.eventsOf('ota.end')).toMatchObject([{ ok: true, reboot: false }]);
    expect(bench.debug.at(-1)).toBe('  ESP.eraseConfigAndReset() failed!\n');
    expect([0x3fc, 0x3fd, 0x3fe].map((sector) => bench.chip.peek(sector * 4096, 1)[0])).toEqual([0xff, 0x5a, 0x5a]);
  });

  test('row 54: IGNORE and the erase fails: Error[5], then the restart into the new sketch', async () => {
    const bench = await updated({
      setup: (ota) => ota.setEraseConfig(OTA_ERASE_CFG_IGNORE_ERROR),
      faults: eraseFailsAt(0x3fc),
    });
    expect(bench.restart).toBe('restart');
    expect(bench.bootCommand?.size).toBe(3640);
    expect(bench.lines.slice(-2)).toEqual(['End', 'Error[5]']);
    expect(bench.eventsOf('ota.end')).toMatchObject([{ ok: true, reboot: true }]);
  });

  test('when Wi-Fi does not go off, nothing is erased', async () => {
    const bench = await updated({ setup: (ota) => ota.setEraseConfig(), wifiOff: false });
    expect(bench.debug.at(-1)).toBe('  WiFi.mode(WIFI_OFF) Timeout!\n');
    expect(bench.chip.peek(CONFIG_START, 1)[0]).toBe(0x5a);
    expect(bench.lines.at(-1)).toBe('Error[5]');
  });

  test('eraseConfigAndReset() by itself', async () => {
    const bench = new OtaBench({ loop: false });
    await bench.ota.begin(false);
    await expect(bench.ota.eraseConfigAndReset()).rejects.toMatchObject({ kind: 'reset' });
    expect(bench.restart).toBe('hardware');
  });
});
