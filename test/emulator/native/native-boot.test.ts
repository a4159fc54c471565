/** `bootloader: 'native'` and `'auto'` on a whole device, with a bootloader of our own in the image. */
import { afterEach, describe, expect, test } from 'vitest';
import { referenceKernels } from '../../../assembly/host/reference.ts';
import { ACTION_COPY_RAW, encodeCommand } from '../../../eboot/command.ts';
import { ROM_FUNCTIONS as rom } from '../../../eboot/native/rom-entries.ts';
import { buildImage, createDevice, type Device, type DeviceOptions } from '../../../emulator/index.ts';
import { EMBEDDED_IN_APP, embedLengthAndCrc } from '../../../flash/image-assemble.ts';
import { type Assembler, assemble } from '../../support/assembler.ts';
import { expectBytes } from '../../support/flash.ts';
import { miniEboot } from '../../support/mini-eboot.ts';

const { crc32 } = referenceKernels();
const SIZE = 40_000;
const STAGING = 0x100000;

const devices: Device[] = [];
afterEach(async () => {
  for (const device of devices.splice(0)) await device.close();
});

/** A firmware image with another boot sector. */
function firmware(version: string, sector0: Uint8Array = miniEboot()): Uint8Array {
  const image = buildImage({ sketch: 'blank', version, size: SIZE, layout: '4m2m' });
  image.set(sector0);
  embedLengthAndCrc(image, EMBEDDED_IN_APP);
  return image;
}

async function make(options: DeviceOptions): Promise<Device> {
  const device = await createDevice({ image: firmware('1.0'), sketch: 'blank', clock: 'virtual', ...options });
  devices.push(device);
  return device;
}

/** Puts an image into the staging area and the command for it into RTC memory. */
function stage(device: Device, image: Uint8Array): void {
  device.flash.chip.load(STAGING, image);
  device.rtc.rtcUserMemoryWrite(0, encodeCommand({ action: ACTION_COPY_RAW, args: [STAGING, 0, image.length] }, crc32));
}

const PLACES = ['eboot.command', 'eboot.copy', 'eboot.end', 'flash.erase', 'flash.program', 'rtc.write'];

/** What the bootloader did, without the time that it took. */
const deeds = (device: Device, from: number): unknown[] =>
  device.events
    .since(from, 10_000)
    .filter(({ type }) => [...PLACES, 'fault.fired', 'app.start', 'reset', 'power.off'].includes(type))
    .map(({ seq, atUs, ...event }) => event);

/** Real eboots end the lines after `cp:` as ours does; both engines are told apart only by the name. */
describe('the same story on both engines', () => {
  const faults = [undefined, 'power-cut@copy:17:inside:0.4', 'reset@copy:3', 'power-cut@clear:1', 'erase-fail@copy:2'];
  test.each(faults)('update with fault %s', async (fault) => {
    const stories: unknown[][] = [];
    for (const bootloader of ['model', 'native'] as const) {
      const device = await make({ bootloader, core: 'master', afterPowerCut: 'power-on' });
      await device.powerOn();
      const next = firmware('2.0');
      stage(device, next);
      if (fault) device.faults.arm(fault);
      const { nextSeq } = device.events;
      const end = device.reset('software');
      for (let i = 0; i < 20; i++) await device.advance(1_000_000);
      await end;
      stories.push([...deeds(device, nextSeq), device.state, device.rtc.readUser(0, 128)]);
      if (!fault) expectBytes(device.flash.read(0, next.length), next);
    }
    expect(stories[1]).toEqual(stories[0]);
    expect(stories[0]!.length).toBeGreaterThan(5);
  });
});

describe('which engine', () => {
  const engine = async (options: DeviceOptions): Promise<unknown> => {
    const device = await make(options);
    await device.powerOn();
    return device.events.recent('eboot.start').map(({ engine, version }) => [engine, version]);
  };

  test('auto executes code where there is some', async () => {
    expect(await engine({})).toEqual([['native', 'unknown']]);
    expect(await engine({ image: buildImage({ sketch: 'blank', version: '1', size: SIZE, layout: '4m2m' }) })).toEqual([
      ['model', 'master'],
    ]);
    expect(await engine({ bootloader: 'model', core: '2.7.4' })).toEqual([['model', '2.7.4']]);
    expect(await engine({ bootloader: 'native', core: '2.7.4' })).toEqual([['native', 'unknown']]);
  });

  test('native without code is refused', async () => {
    await expect(make({ image: undefined, bootloader: 'native' })).rejects.toThrow('holds no LX106 code');
    await expect(make({ bootloader: 'other' as 'native' })).rejects.toThrow('auto, model, native');
  });
});

describe('bootloaders that do not work', () => {
  const boot = async (write: (a: Assembler) => void): Promise<Device> => {
    const device = await make({ image: firmware('1.0', assemble(write)) });
    await device.powerOn();
    return device;
  };

  test.each<[string, (a: Assembler) => void, object, object]>([
    [
      'a jump to itself',
      (a) => a.label('x').j('x'),
      { reason: 'loop' },
      { why: 'rom-hang', cure: 'external', message: expect.stringContaining('goes round') },
    ],
    [
      'an unknown ROM function',
      (a) => a.addi(1, 1, -16).call(0x40001234),
      { reason: 'rom-call', pc: 0x40001234 },
      { why: 'rom-hang', message: expect.stringContaining('--bootloader model') },
    ],
    [
      'an illegal instruction',
      (a) => a.nop().ill(),
      { reason: 'exception', cause: 0, pc: 0x4010f003 },
      { why: 'no-image', cure: 'serial', message: expect.stringContaining('exception 0 at 0x4010f003,') },
    ],
    ['a return', (a) => a.ret(), { reason: 'returned' }, { why: 'rom-hang' }],
  ])('%s', async (_, write, stop, dead) => {
    const device = await boot(write);
    expect(device.state).toMatchObject({ state: 'dead', ...dead });
    expect(device.events.recent('cpu.stop').at(-1)).toMatchObject(stop);
  });

  test('the ROM reports the exception where it was raised', async () => {
    const device = await boot((a) => a.nop().set(3, 0x40000000).s32i(3, 3, 0));
    const where = 'Fatal exception (3): \r\nepc1=0x4010f00a, epc2=0x00000000, epc3=0x00000000, excvaddr=0x40000000,';
    expect(device.serial.text()).toContain(where);
  });

  test('with the watchdog on, a loop ends in its reset', async () => {
    const device = await make({
      image: firmware(
        '1.0',
        assemble((a) => a.addi(1, 1, -16).call(rom.ets_wdt_enable, 4, 12, 12).label('x').j('x')),
      ),
    });
    void device.powerOn();
    for (let i = 0; i < 4; i++) await device.advance(15_000_000);
    expect(device.events.recent('reset').map(({ cause }) => cause)).toEqual(
      expect.arrayContaining(['power-on', 'hardware-watchdog']),
    );
  });

  test('an endless computation can be reset and unplugged', async () => {
    const device = await make({
      image: firmware(
        '1.0',
        assemble((a) => a.label('x').addi(3, 3, 1).j('x')),
      ),
      clock: 'fast',
      ota: { port: 0 },
      http: { port: 0 },
    });
    const on = device.powerOn();
    await device.next('eboot.start', { since: 0 });
    device.flash.chip.load(0, firmware('2.0'));
    expect(await device.reset('external')).toEqual({ state: 'running' });
    expect(await on).toEqual({ state: 'running' });
    device.flash.chip.load(
      0,
      assemble((a) => a.label('x').addi(3, 3, 1).j('x')),
    );
    const { nextSeq } = device.events;
    void device.reset('external');
    await device.next('eboot.start', { since: nextSeq });
    await device.powerOff();
    expect(device.state).toMatchObject({ state: 'off' });
  });
});

describe('debugging', () => {
  test('breakpoints, single steps and registers', async () => {
    const program = assemble((a) => {
      a.addi(1, 1, -16).set(12, 1).set(12, 2).call(rom.SPIEraseSector, 0x3fb).set(12, 3);
      a.call(rom.software_reset);
    });
    const device = await make({ image: firmware('1.0', program), clock: 'fast' });
    device.events.subscribe((event) => {
      if (event.type === 'rom.boot') device.pause();
    });
    void device.powerOn();
    await device.next('eboot.start', { since: 0 });
    // Paused: the CPU runs up to its first flash operation, or stands where the debugger puts it.
    await expect.poll(() => device.cpu?.registers[12]).toBe(2);
    const cpu = device.cpu!;
    expect(cpu.special()).toMatchObject({ ps: 0x20 });
    expect(await cpu.step(1)).toEqual({ reason: 'step', steps: 1 });
    expect(device.events.recent('flash.erase')).toHaveLength(1);
    expect(cpu.registers[12]).toBe(3);
    expect(await cpu.step(100)).toMatchObject({ reason: 'end' });
    expect(device.cpu).toBeUndefined();
  });

  test('a breakpoint pauses the device before its instruction', async () => {
    const program = assemble((a) => {
      a.addi(1, 1, -16).call(rom.SPIEraseSector, 0x3fb).set(12, 3).set(12, 4).label('x').j('x');
    });
    const device = await make({ image: firmware('1.0', program), clock: 'fast' });
    device.events.subscribe((event) => {
      if (event.type === 'rom.boot') device.pause();
    });
    void device.powerOn();
    await device.next('eboot.start', { since: 0 });
    await expect.poll(() => device.cpu?.pc).toBe(rom.SPIEraseSector);
    const cpu = device.cpu!;
    const target = cpu.registers[0]! + 3;
    cpu.breakpoints.add(target);
    const stop = device.next('cpu.stop');
    device.resume();
    expect(await stop).toMatchObject({ reason: 'breakpoint', pc: target });
    expect([cpu.pc, cpu.registers[12], device.paused]).toEqual([target, 3, true]);
    device.resume();
    await expect.poll(() => device.state).toMatchObject({ state: 'dead' });
  });
});
