/**
 * What eboot makes of what the Updater left: the second half of those rows of spec chapter 02 §13 that end in a restart.
 * Commands and bytes alone are checked in the scenario table.
 */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { type BootOnceResult, bootOnce } from '../../eboot/boot-once.ts';
import { commandPort } from '../../eboot/command.ts';
import { assembleImage, EMBEDDED_IN_APP } from '../../flash/image-assemble.ts';
import { U_FS } from '../../ota-services/updater.ts';
import {
  faultAt,
  firstDifference,
  makeRig,
  patternBytes,
  type Rig,
  type RigOptions,
  signedFile,
} from '../support/updater.ts';

const { crc32 } = referenceKernels();
const OLD_ENTRY = 0x40100100;
const NEW_ENTRY = 0x40100200;

/** A firmware file that eboot can start. `fill` makes its boot sector differ. */
function firmware(entry: number, codeBytes: number, fill = 0xaa): Uint8Array {
  const sector0 = new Uint8Array(4096).fill(fill);
  sector0.set([0xe9, 1, 2, 0x40]);
  const segments = [
    { address: 0x40201010, data: patternBytes(codeBytes) },
    { address: 0x40100000, data: patternBytes(1000) },
  ];
  return assembleImage({
    sector0,
    app: { mode: 'dio', flashSize: 0x400000, freqMHz: 40, entry, segments },
    embed: EMBEDDED_IN_APP,
  });
}

const oldFirmware = firmware(OLD_ENTRY, 20_000);
const newFirmware = firmware(NEW_ENTRY, 30_000, 0xbb);

function device(options: RigOptions = {}): Rig {
  const rig = makeRig(options);
  rig.chip.load(0, oldFirmware);
  rig.esp.sdkStart();
  return rig;
}

async function update(rig: Rig, data: Uint8Array, size = data.length, command?: number): Promise<boolean> {
  expect(await rig.update.begin(size, command)).toBe(true);
  await rig.update.write(data);
  return rig.update.end(size !== data.length);
}

interface Boot extends BootOnceResult {
  flash: Uint8Array;
  rtcUser: Uint8Array;
}

/** The next start of eboot, with RTC memory as the Updater left it, or as a power cycle does. */
async function boot(rig: Rig, power: 'kept' | 'cycled' = 'kept'): Promise<Boot> {
  const rtcUser = new Uint8Array(512);
  const words = new DataView(rtcUser.buffer);
  const port = commandPort({ writeUserWord: (offset, value) => words.setUint32(offset, value, true) }, crc32);
  const command = rig.commands.at(-1);
  if (command && power === 'kept') port.writeCopy(command.source, command.destination, command.size);
  const flash = rig.chip.peek(0, rig.chip.capacityBytes);
  return { ...(await bootOnce({ flash, rtcUser })), flash, rtcUser };
}

/** UART text behind the version line. */
const said = ({ uart }: Boot): string => uart.replace(/^v[0-9a-f]{8}\r\n/, '');

describe('after an update', () => {
  test('rows 48 and 49: a power cycle boots the old sketch, a restart the new one', async () => {
    const rig = device();
    expect(await update(rig, newFirmware)).toBe(true);
    const cycled = await boot(rig, 'cycled');
    expect([said(cycled), cycled.entry]).toEqual(['~ld\r\n', OLD_ENTRY]);
    const restarted = await boot(rig);
    expect([said(restarted), restarted.entry]).toEqual(['@cp:0\r\nld\r\n', NEW_ENTRY]);
    expect(firstDifference(restarted.flash.subarray(0, newFirmware.length), newFirmware)).toBe(-1);
  });

  test('row 49: an equal boot sector is not written', async () => {
    const rig = device();
    await update(rig, firmware(NEW_ENTRY, 30_000));
    expect(said(await boot(rig))).toBe('@cp:B0\r\nld\r\n');
  });

  test('row 50: a begin that fails afterwards changes nothing', async () => {
    const rig = device();
    await update(rig, newFirmware);
    expect(await rig.update.begin(0x400000)).toBe(false);
    expect((await boot(rig)).entry).toBe(NEW_ENTRY);
  });

  test('Q20: another update that breaks off afterwards does: eboot copies a torn image', async () => {
    const rig = device();
    await update(rig, newFirmware);
    await rig.update.begin(newFirmware.length);
    await rig.update.write(patternBytes(5000));
    const { flash } = await boot(rig);
    expect(firstDifference(flash.subarray(0, 4096), newFirmware.subarray(0, 4096))).not.toBe(-1);
  });

  test('row 44: the empty command of Q4 copies nothing and boots the old sketch', async () => {
    const rig = device({ faults: faultAt('erase', 1) });
    expect(await update(rig, newFirmware.subarray(0, 5000), 10000)).toBe(true);
    const restarted = await boot(rig);
    expect([said(restarted), restarted.entry, restarted.flashOps]).toEqual(['@cp:0\r\nld\r\n', OLD_ENTRY, []]);
  });

  test('row 27: a patched image boots; its header has the mode of the device', async () => {
    const other = newFirmware.slice();
    other[2] = 0;
    const rig = device();
    await update(rig, other);
    const { entry, flash } = await boot(rig);
    expect([entry, flash[2]]).toEqual([NEW_ENTRY, 2]);
  });

  test('rows 29 and 66: gzip, and a signed file on a device without verifier, install', async () => {
    for (const file of [new Uint8Array(gzipSync(newFirmware)), signedFile(newFirmware)]) {
      const rig = device();
      await update(rig, file);
      const { entry, flash } = await boot(rig);
      expect(entry).toBe(NEW_ENTRY);
      expect(firstDifference(flash.subarray(0, newFirmware.length), newFirmware)).toBe(-1);
    }
  });

  test('row 67: a signed gzip on a device without verifier leaves 256 bytes in the boot sector', async () => {
    const rig = device();
    await update(rig, signedFile(new Uint8Array(gzipSync(newFirmware))));
    const { uart, entry, flash } = await boot(rig);
    expect([uart.slice(-11), entry]).toEqual(['@cp:0\r\nld\r\n', OLD_ENTRY]);
    expect(firstDifference(flash.subarray(0, 256), newFirmware.subarray(0, 256))).toBe(-1);
    expect(flash.subarray(256, 4096).every((byte) => byte === 0xff)).toBe(true);
  });

  test('row 75: a gzip that unpacks over its own staging area fails in eboot, or installs something else', async () => {
    const content = new Uint8Array(0x280000);
    content.set(newFirmware);
    let noise = 1;
    for (let i = content.length - 150_000; i < content.length; i++) {
      noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
      content[i] = noise >>> 24;
    }
    const rig = device();
    await update(rig, new Uint8Array(gzipSync(content)));
    const { flash } = await boot(rig);
    // Whether inflate notices (code 6) depends on what it finds in place of its input; the end is wrong in any case.
    const { source } = rig.commands[0]!;
    const wrongFrom = firstDifference(flash.subarray(0, content.length), content);
    expect(wrongFrom).toBeGreaterThanOrEqual(source);
  });

  test('row 69: an atomic file system is put in place by eboot', async () => {
    const files = patternBytes(524288);
    const rig = device({ atomicFs: true });
    expect(await update(rig, files, files.length, U_FS)).toBe(true);
    const { uart, flash } = await boot(rig);
    expect(uart).toContain('@cp:0\r\n');
    expect(firstDifference(flash.subarray(0x200000, 0x200000 + files.length), files)).toBe(-1);
    expect(firstDifference(flash.subarray(0, oldFirmware.length), oldFirmware)).toBe(-1);
  });
});

test('the eboot command of a 342704-byte image on 4m2m, byte for byte (spec chapter 01 §12)', async () => {
  const rig = makeRig();
  const image = patternBytes(342704);
  image.set([0xe9, 1, 2, 0x40]);
  expect(await update(rig, image)).toBe(true);
  const rtcUser = new Uint8Array(128);
  const words = new DataView(rtcUser.buffer);
  const { source, destination, size } = rig.commands[0]!;
  commandPort({ writeUserWord: (at, value) => words.setUint32(at, value, true) }, crc32).writeCopy(
    source,
    destination,
    size,
  );
  expect(Buffer.from(rtcUser.subarray(0, 20)).toString('hex')).toBe('001000eb0100000000c01a0000000000b03a0500');
  expect(words.getUint32(124, true)).toBe(0x3a6a185c);
});
