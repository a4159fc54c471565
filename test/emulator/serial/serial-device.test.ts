/** The serial side of the whole device in virtual time. Numbers in names are rows of spec chapter 05 §16. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import {
  buildImage,
  createDevice,
  type Device,
  type DeviceOptions,
  type SketchFactory,
} from '../../../emulator/index.ts';
import { deviceOptionsFor, driveUpdate } from '../../../emulator/sweep/drive/index.ts';
import * as command from '../../../ota-services/rom-loader/commands.ts';
import { encodeRequest, SYNC_DATA } from '../../../ota-services/rom-loader/packets.ts';
import { expectBytes } from '../../support/flash.ts';
import { LabHost, rawFrame, words } from '../../support/serial-host.ts';
import { uploadVirtually } from '../../support/virtual-uploader.ts';

const open: Device[] = [];
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

const image = (version: string, sketch = 'basic-ota'): Uint8Array =>
  buildImage({ sketch, version, size: 60_000, layout: '4m2m' });
const ROM_VALUE = 0x20120707;
const BANNER = (cause: number, strap: number): string => `rst cause:${cause}, boot mode:(${strap},7)`;

async function device(options: DeviceOptions = {}): Promise<Device> {
  const made = await createDevice({ clock: 'virtual', ...options });
  open.push(made);
  return made;
}

async function running(options: DeviceOptions = {}): Promise<Device> {
  const board = await device({ image: image('1.0'), ...options });
  expect(await board.powerOn()).toEqual({ state: 'running' });
  return board;
}

/** A blank chip in its loader. */
async function blank(options: DeviceOptions = {}): Promise<Device> {
  const board = await device({ boot: 'download', ...options });
  expect(await board.powerOn()).toEqual({ state: 'download' });
  return board;
}

/** Power-on, strap 1 latched, image written by the stub, and started by RUN_USER_CODE without a reset: row 43. */
async function softReset(firmware = image('1.0'), options: DeviceOptions = {}): Promise<Device> {
  const board = await blank(options);
  board.straps.gpio0 = 1; // FLASH is let go; nothing latches it
  const host = new LabHost(board);
  await host.sync();
  await host.startStub();
  await host.writeByStub(0, firmware);
  host.send(encodeRequest(command.RUN_USER_CODE));
  await board.advance(100_000);
  host.connection.close();
  return board;
}

const banners = (board: Device): string[] => board.serial.text().match(/rst cause:\d, boot mode:\(\d,\d\)/g) ?? [];
const count = (text: string, what: string): number => text.split(what).length - 1;

describe('straps and the way into the loader', () => {
  test('1: power on with GPIO0 high runs the sketch', async () => {
    const board = await running();
    expect(banners(board)).toEqual([BANNER(1, 3)]);
  });

  test('2: power on with GPIO0 low prints the banner and nothing more, and SYNC is answered eight times', async () => {
    const board = await blank();
    expect(board.serial.text()).toBe(`\r\n ets Jan  8 2013,${BANNER(1, 1)}\r\n\r\n`);
    expect(await new LabHost(board).sync()).toEqual(new Array(8).fill(ROM_VALUE));
  });

  test('3: the classic sequence over RFC 2217, each change 50 ms after the other, ends in the loader after one banner', async () => {
    const board = await running();
    const host = new LabHost(board, { lines: true });
    const before = banners(board).length;
    for (const [ms, dtr, rts] of [
      [150, true, false],
      [50, true, true],
      [400, false, true],
      [50, false, true],
      [50, false, true],
      [160, true, true],
      [50, true, false],
      [50, true, false],
      [100, false, false],
    ] as const) {
      await board.advance(ms * 1000);
      host.connection.setLines({ dtr, rts });
    }
    await board.advance(40_000);
    expect(banners(board).slice(before)).toEqual([BANNER(2, 1)]);
    expect(board.state).toEqual({ state: 'download' });
    expect(await host.sync()).toEqual(new Array(8).fill(ROM_VALUE));
    // 4: the pulse of RTS afterwards starts from flash.
    host.connection.setLines({ rts: true });
    await board.advance(100_000);
    expect(board.state).toBeUndefined();
    host.connection.setLines({ rts: false });
    await board.advance(100_000);
    expect(banners(board).at(-1)).toBe(BANNER(2, 3));
    expect(board.state).toEqual({ state: 'running' });
  });

  test('5: a terminal that opens with both lines asserted resets nothing', async () => {
    const board = await running();
    const host = new LabHost(board, { lines: true });
    host.connection.setLines({ dtr: true });
    host.connection.setLines({ rts: true });
    await board.advance(5_000_000);
    expect(banners(board)).toHaveLength(1);
    expect(board.state).toEqual({ state: 'running' });
  });

  test('6: (0,1) then (0,0) is a reset into flash', async () => {
    const board = await running();
    const host = new LabHost(board, { lines: true });
    host.connection.setLines({ dtr: false, rts: true });
    await board.advance(10_000);
    const during = board.events.nextSeq;
    await board.advance(500_000);
    expect(board.events.nextSeq).toBe(during); // nothing runs while RST is low
    host.connection.setLines({ rts: false });
    await board.advance(100_000);
    expect(banners(board)).toEqual([BANNER(1, 3), BANNER(2, 3)]);
  });

  test('a chip held in reset can be unplugged, and a host that leaves lets it go', async () => {
    const board = await running();
    const host = new LabHost(board, { lines: true });
    host.connection.setLines({ rts: true });
    await board.advance(1000);
    await board.powerOff();
    expect(await board.powerOn()).toEqual({ state: 'running' });
    const other = new LabHost(board, { lines: true });
    other.connection.setLines({ rts: true });
    await board.advance(1000);
    expect(board.state).toBeUndefined();
    other.connection.close();
    await board.advance(100_000);
    expect(board.state).toEqual({ state: 'running' });
  });

  test('a chip that a host holds in reset stays there, whatever else resets it, until the host lets go', async () => {
    const board = await running();
    const host = new LabHost(board, { lines: true });
    host.connection.setLines({ rts: true });
    await board.advance(1000);
    expect(board.isRstLow).toBe(true);
    const during = board.events.nextSeq;
    const resets = [board.reset('external'), board.reset('software')];
    await board.advance(5_000_000);
    expect(board.events.nextSeq).toBe(during);
    expect(board.state).toBeUndefined();
    host.connection.setLines({ rts: false });
    expect(board.isRstLow).toBe(false);
    await board.advance(100_000);
    expect(await Promise.all(resets)).toEqual([{ state: 'running' }, { state: 'running' }]);
    expect(banners(board)).toEqual([BANNER(1, 3), BANNER(2, 3)]);
    expect(await board.reset('external')).toEqual({ state: 'running' });
  });

  test('two hosts hold RST: it goes high when both have let go, with GPIO0 as the last one has it', async () => {
    const board = await running();
    const [one, two] = [new LabHost(board, { lines: true }), new LabHost(board, { lines: true })];
    one.connection.setLines({ rts: true });
    two.connection.setLines({ rts: true });
    await board.advance(1000);
    one.connection.setLines({ rts: false });
    await board.advance(100_000);
    expect(board.state).toBeUndefined();
    two.connection.setLines({ dtr: true, rts: false });
    await board.advance(100_000);
    expect(banners(board)).toEqual([BANNER(1, 3), BANNER(2, 1)]);
  });

  test('RST that goes low, high and low again within one moment is low at its end', async () => {
    const board = await running();
    const host = new LabHost(board, { lines: true });
    for (const rts of [true, false, true]) host.connection.setLines({ rts });
    await board.advance(100_000);
    expect(board.state).toBeUndefined();
    host.connection.setLines({ dtr: true, rts: false });
    await board.advance(100_000);
    expect(banners(board)).toEqual([BANNER(1, 3), BANNER(2, 1)]);
    // As the code restarts by itself, too.
    board.reset('software').catch(() => {});
    host.connection.setLines({ dtr: false, rts: true });
    await board.advance(100_000);
    expect(banners(board)).toHaveLength(2);
    host.connection.setLines({ rts: false });
    await board.advance(100_000);
    expect(banners(board).at(-1)).toBe(BANNER(2, 3));
  });

  test('GPIO15 high: the ROM waits for an SDIO host, until the straps are right and it is reset', async () => {
    const board = await running();
    board.straps.gpio15 = 1;
    expect(await board.reset('external')).toMatchObject({ state: 'dead', why: 'rom-hang', cure: 'external' });
    expect(board.serial.text()).toMatch(/boot mode:\(7,7\)\r\n\r\nwaiting for host\r\n$/);
    board.straps.gpio15 = 0;
    expect(await board.reset('external')).toEqual({ state: 'running' });
  });

  test('--boot download holds FLASH at the first power-on only: a pulse of RTS, reset or power then start the flash', async () => {
    const board = await blank();
    expect(board.straps.gpio0).toBe(1);
    const host = new LabHost(board, { lines: true });
    await host.sync();
    await host.writeByRom(0, image('1.0'));
    host.connection.setLines({ rts: true });
    await board.advance(100_000);
    host.connection.setLines({ rts: false });
    await board.advance(100_000);
    expect(banners(board)).toEqual([BANNER(1, 1), BANNER(2, 3)]);
    expect(board.state).toEqual({ state: 'running' });
    await board.powerOff();
    expect(await board.powerOn()).toEqual({ state: 'running' });
  });

  test('a FLASH button that is held counts at a reset by RTS, too', async () => {
    const board = await running();
    board.straps.gpio0 = 0;
    const host = new LabHost(board, { lines: true });
    host.connection.setLines({ rts: true });
    host.connection.setLines({ rts: false });
    await board.advance(10_000);
    expect(board.state).toEqual({ state: 'download' });
  });
});

describe('on-sync and manual', () => {
  test('47: manual: a SYNC means nothing to a running sketch, which may read it', async () => {
    const board = await running({ serial: { download: 'manual' } });
    const host = new LabHost(board);
    expect(await host.sync()).toEqual([]);
    expect(banners(board)).toHaveLength(1);
    expect(board.state).toEqual({ state: 'running' });
  });

  test('48: on-sync: the SYNC that arrives presses the buttons and is answered itself', async () => {
    const board = await running();
    const host = new LabHost(board);
    const sync = encodeRequest(command.SYNC, SYNC_DATA);
    for (const byte of sync) host.send(Uint8Array.of(byte)); // however it is cut
    await board.advance(10_000);
    expect(banners(board)).toEqual([BANNER(1, 3), BANNER(2, 1)]);
    expect(host.frames.filter((frame) => frame[0] === 1 && frame[1] === command.SYNC)).toHaveLength(8);
    expect(board.straps.gpio0).toBe(1); // nobody holds FLASH any more
    expect(await board.reset('external')).toEqual({ state: 'running' });
  });

  test('on-sync: a blank chip that is dead is brought into its loader, too', async () => {
    const board = await blank();
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toMatchObject({ state: 'dead', why: 'no-image' });
    const host = new LabHost(board);
    expect((await host.sync()).length).toBeGreaterThan(0);
    await host.writeByRom(0, image('3.0'));
    await board.reset('external');
    expect(board.events.recent('app.start').at(-1)?.version).toBe('3.0');
  });

  test('on-sync: during a start a SYNC changes nothing, so eboot is never cut off in its copy', async () => {
    const board = await running();
    const host = new LabHost(board, { lines: true });
    host.connection.setLines({ rts: true });
    expect(await host.sync()).toEqual([]);
    host.connection.setLines({ rts: false });
    await board.advance(100_000);
    expect(board.state).toEqual({ state: 'running' });
  });

  test('on-sync: when other straps keep the chip out of its loader, the next reset is anybody’s', async () => {
    const board = await running();
    board.straps.gpio15 = 1;
    const [first, second] = [new LabHost(board), new LabHost(board)];
    expect(await first.sync()).toEqual([]);
    expect(board.state).toMatchObject({ state: 'dead', cure: 'external' });
    expect(await second.sync()).toEqual([]);
    board.straps.gpio15 = 0;
    board.straps.gpio0 = 0;
    expect(await board.reset('external')).toEqual({ state: 'download' });
    await board.advance(10_000);
    // The SYNC of before is not kept for whoever comes now, and the other host is served.
    expect(board.events.recent('loader.command')).toEqual([]);
    expect(await second.sync()).toEqual(new Array(8).fill(ROM_VALUE));
    expect(second.frames).toEqual([]);
  });

  test('a host with lines has the lines: no on-sync unless asked for', async () => {
    const board = await running();
    expect(await new LabHost(board, { lines: true }).sync()).toEqual([]);
    const asked = await running({ serial: { download: 'on-sync' } });
    expect(await new LabHost(asked, { lines: true }).sync()).toHaveLength(8);
  });
});

describe('reset on close', () => {
  test('off, as on hardware: the chip stays in its loader; on: the flash starts, though the last latch said otherwise', async () => {
    for (const resetOnClose of [undefined, true]) {
      const board = await blank({ serial: { resetOnClose } });
      const host = new LabHost(board);
      await host.sync();
      await host.writeByRom(0, image('1.0'));
      host.connection.close();
      await board.advance(100_000);
      expect(board.state).toEqual({ state: resetOnClose ? 'running' : 'download' });
      expect(banners(board)).toEqual([BANNER(1, 1), ...(resetOnClose ? [BANNER(2, 3)] : [])]);
    }
  });

  test('it cures a soft reset: the latch is 3 again, and OTA works', async () => {
    const board = await softReset(image('1.0'), { serial: { resetOnClose: true } });
    await board.advance(1_000_000);
    await uploadVirtually(board, image('2.0'));
    await board.advance(5_000_000);
    expect(board.events.recent('app.start').at(-1)?.version).toBe('2.0');
  });

  test('a monitor that closes while another host flashes, or holds RST, disturbs neither', async () => {
    const board = await blank({ serial: { resetOnClose: true } });
    const [flasher, monitor, other] = [new LabHost(board), new LabHost(board), new LabHost(board)];
    await flasher.sync();
    monitor.connection.close();
    await flasher.writeByRom(0, image('1.0'));
    expect(banners(board)).toHaveLength(1);
    flasher.connection.close();
    await board.advance(100_000);
    const holder = new LabHost(board, { lines: true });
    holder.connection.setLines({ rts: true });
    await board.advance(1000);
    other.connection.close();
    await board.advance(100_000);
    expect(board.state).toBeUndefined();
    holder.connection.close();
    await board.advance(100_000);
    expect(board.state).toEqual({ state: 'running' });
  });

  test('without power it means nothing', async () => {
    const board = await running({ serial: { resetOnClose: true } });
    const host = new LabHost(board);
    await board.powerOff();
    host.connection.close();
    expect(board.isOn).toBe(false);
    expect(await board.powerOn()).toEqual({ state: 'running' });
  });
});

describe('ESP.rebootIntoUartDownloadMode', () => {
  async function rebooted(): Promise<Device> {
    const sketch: SketchFactory = ({ ESP }) => ({ loop: () => ESP.rebootIntoUartDownloadMode() });
    const board = await device({ sketch });
    await board.powerOn();
    await board.advance(20_000);
    return board;
  }

  test('ends in the loader without a banner, and no watchdog bites there', async () => {
    const board = await rebooted();
    expect(board.state).toEqual({ state: 'download' });
    await board.advance(60_000_000);
    expect(board.state).toEqual({ state: 'download' });
    expect(banners(board)).toEqual([BANNER(1, 3)]);
    expect(board.events.recent('reset').at(-1)).toMatchObject({ cause: 'software', rtcKept: true });
    expect(board.events.recent('straps').at(-1)).toMatchObject({ latched: 3 });
    expect(await new LabHost(board).sync()).toEqual(new Array(8).fill(ROM_VALUE));
  });

  test('the latch is as it was: what the host starts without a reset is updated over the air', async () => {
    const board = await rebooted();
    const host = new LabHost(board);
    await host.sync();
    await host.startStub();
    await host.writeByStub(0, image('1.0'));
    host.send(encodeRequest(command.RUN_USER_CODE));
    await board.advance(100_000);
    expect(board.events.recent('app.start').at(-1)?.version).toBe('1.0');
    await uploadVirtually(board, image('2.0'));
    await board.advance(5_000_000);
    expect(board.events.recent('app.start').at(-1)?.version).toBe('2.0');
  });

  test('a restart out of the loader starts the flash, and a reset button tells its own cause', async () => {
    const board = await rebooted();
    const host = new LabHost(board);
    await host.sync();
    await host.writeByRom(0, image('1.0'));
    await host.request(command.FLASH_END, words(0));
    await board.advance(100_000);
    expect(board.state).toEqual({ state: 'running' });
    const told: string[] = [];
    const asking: SketchFactory = ({ ESP }) => ({
      setup: () => void told.push(ESP.getResetReason()),
      loop: () => ESP.rebootIntoUartDownloadMode(),
    });
    const other = await device({ sketch: asking });
    await other.powerOn();
    await other.advance(20_000);
    expect(await other.reset('external')).toEqual({ state: 'running' });
    expect(told).toEqual(['Power On', 'External System']);
  });
});

describe('flashing', () => {
  test('a blank chip, written by the ROM, runs after a reset', async () => {
    const board = await blank();
    const host = new LabHost(board);
    await host.sync();
    await host.writeByRom(0, image('1.0'));
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toEqual({ state: 'running' });
    expectBytes(board.flash.read(0, 60_000), image('1.0'));
    expect(board.events.recent('app.start').at(-1)).toMatchObject({ version: '1.0', crcOk: true });
  });

  test('the events of the loader, and faults of the phase `serial`', async () => {
    const board = await blank({ faults: ['program-fail@serial:3'] });
    const host = new LabHost(board);
    await host.sync();
    await expect(host.writeByRom(0, image('1.0'))).rejects.toThrow('block 0: 0108');
    expect(board.faults.fired).toHaveLength(1);
    const told = board.events.recent().filter(({ type }) => type.startsWith('loader.'));
    expect(told.map(({ type }) => type)).toEqual([
      'loader.start',
      'loader.command',
      'loader.command',
      'loader.command',
    ]);
    expect(told.at(-1)).toMatchObject({ name: 'FLASH_DATA', status: 1, error: 8 });
  });

  test('a power cut in the middle of a serial upload leaves what was written', async () => {
    const board = await blank({ faults: ['power-cut@serial:40:inside:0.5'] });
    const host = new LabHost(board);
    await host.sync();
    await expect(host.writeByRom(0, image('1.0'))).rejects.toThrow();
    expect(board.state).toEqual({ state: 'off', why: 'fault' });
    board.straps.gpio0 = 1;
    expect(await board.powerOn()).toMatchObject({ state: 'dead' });
  });

  test('41: the dialect belongs to the device: another host finds the stub running', async () => {
    const board = await blank();
    const first = new LabHost(board);
    await first.sync();
    await first.startStub();
    first.connection.close();
    const second = new LabHost(board);
    expect(await second.sync()).toEqual(new Array(8).fill(0));
    await board.reset('external');
    expect(await second.sync()).toEqual(new Array(8).fill(ROM_VALUE));
  });

  test('42: FLASH_END(0) brings the ROM dialect back, as the strap is still latched, and it listens', async () => {
    const board = await blank();
    board.straps.gpio0 = 1;
    const host = new LabHost(board);
    await host.sync();
    await host.startStub();
    await host.request(command.FLASH_BEGIN, words(0, 0, 0x4000, 0));
    await host.request(command.FLASH_END, words(0));
    await board.advance(20_000_000);
    expect(banners(board)).toEqual([BANNER(1, 1), BANNER(1, 1)]);
    expect(board.state).toEqual({ state: 'download' });
    expect(await host.sync()).toEqual(new Array(8).fill(ROM_VALUE));
  });

  test('28: a RAM program is answered and then silent until a reset', async () => {
    const board = await blank();
    const host = new LabHost(board);
    await host.sync();
    await host.request(command.MEM_BEGIN, words(16, 1, 0x1800, 0x40100000));
    await host.block(command.MEM_DATA, 0, new Uint8Array(16));
    expect(await host.request(command.MEM_END, words(0, 0x40100294))).toMatchObject({ status: '0000' });
    host.forget();
    host.send(encodeRequest(command.READ_REG, words(0x40001000)));
    await board.advance(10_000_000);
    expect(host.text).toBe('');
    await board.reset('external');
    expect(await host.sync()).toHaveLength(8);
  });

  test('ROM `run`: FLASH_END(1) loads the flash without a banner; an empty one says ets_main.c', async () => {
    const board = await blank();
    const host = new LabHost(board);
    await host.sync();
    await host.request(command.FLASH_BEGIN, words(0, 0, 0x400, 0));
    expect(await host.request(command.FLASH_END, words(1))).toMatchObject({ status: '0000' });
    await board.advance(100_000);
    expect(board.state).toMatchObject({ state: 'dead', why: 'no-image' });
    expect(board.serial.text().endsWith('ets_main.c \r\n')).toBe(true);
    expect(banners(board)).toHaveLength(1);
  });

  test('55: the host drops after FLASH_BEGIN and some blocks; a reset finds half an image', async () => {
    const board = await running();
    const host = new LabHost(board);
    await host.sync();
    await host.writeByRom(0, image('2.0'), 2);
    host.send(encodeRequest(command.FLASH_DATA, new Uint8Array(0x410)).subarray(0, 500));
    host.connection.close();
    expect(await board.reset('external')).toMatchObject({ state: 'dead' });
    expect(board.serial.text()).toMatch(/csum err|ets_main\.c/);
    // The next one is served, the half frame forgotten.
    const next = new LabHost(board);
    expect(await next.sync()).toHaveLength(8);
    await next.writeByRom(0, image('2.0'));
    await board.reset('external');
    expect(board.events.recent('app.start').at(-1)).toMatchObject({ version: '2.0', crcOk: true });
  });

  test('a host that vanishes in the middle of a frame costs the next one nothing, without a reset', async () => {
    const board = await blank();
    const host = new LabHost(board);
    await host.sync();
    host.send(encodeRequest(command.FLASH_DATA, new Uint8Array(0x410)).subarray(0, 500));
    host.connection.close();
    await board.advance(1000);
    const next = new LabHost(board);
    expect(await next.sync()).toEqual(new Array(8).fill(ROM_VALUE));
    expect(next.frames).toEqual([]);
  });

  test('57: ERASE_FLASH takes file system and settings along', async () => {
    const board = await blank();
    board.flash.chip.load(0x200000, new Uint8Array(4096));
    board.flash.chip.load(0x3fb000, new Uint8Array(4096));
    const host = new LabHost(board);
    await host.sync();
    await host.startStub();
    expect(await host.request(command.ERASE_FLASH)).toMatchObject({ status: '0000' });
    expect(board.flash.read(0, 0x400000).every((byte) => byte === 0xff)).toBe(true);
    await host.writeByStub(0, image('1.0'));
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toEqual({ state: 'running' });
  });

  test('58: a file system image leaves the sketch and the eboot command alone', async () => {
    const board = await running();
    const rtc = board.rtc.readUser(0, 128);
    const host = new LabHost(board);
    await host.sync();
    await host.startStub();
    const files = new Uint8Array(20_000).map((_, i) => (i * 7 + (i >> 8)) & 0xff);
    await host.writeByStub(0x200000, files);
    expect(board.rtc.readUser(0, 128)).toEqual(rtc);
    expectBytes(board.flash.read(0x200000, files.length), files);
    await board.reset('external');
    expect(board.state).toEqual({ state: 'running' });
    expect(board.events.recent('app.start').at(-1)).toMatchObject({ version: '1.0', crcOk: true });
  });

  test('59: an eboot command that was never consumed is carried out after a serial upload, and overwrites it', async () => {
    const board = await running();
    await uploadVirtually(board, image('2.0'), { until: () => board.events.recent('update.end').length > 0 });
    await board.advance(2000);
    board.straps.gpio0 = 0;
    expect(await board.reset('external')).toEqual({ state: 'download' });
    board.straps.gpio0 = 1;
    const host = new LabHost(board);
    await host.sync();
    await host.writeByRom(0, image('3.0'));
    await board.reset('external');
    expect(board.events.recent('app.start').at(-1)?.version).toBe('2.0');
  });

  test.each([
    ['nodemcuv2', 0],
    ['esp8285', 0x10000],
  ])('the fuses of %s tell its chip', async (name, flag) => {
    const host = new LabHost(await blank({ board: name }));
    await host.sync();
    expect((await host.request(command.READ_REG, words(0x3ff00058)))!.value & 0x10000).toBe(flag);
  });

  test.each([0x000000, 0xffffff, 0xffff3f])(
    '18: a chip without an id (%j) is written all the same',
    async (flashId) => {
      const board = await blank({ flashId, layout: '4m2m' });
      const host = new LabHost(board);
      await host.sync();
      for (const [register, value] of [
        [0x60000220, 23 << 8],
        [0x6000021c, 0x90000000],
        [0x60000224, 0x7000009f],
        [0x60000240, 0],
        [0x60000200, 1 << 18],
      ] as const) {
        await host.request(command.WRITE_REG, words(register, value, 0xffffffff, 0));
      }
      expect((await host.request(command.READ_REG, words(0x60000240)))?.value).toBe(flashId);
      await host.writeByRom(0, image('1.0'));
      expect(await board.reset('external')).toEqual({ state: 'running' });
    },
  );

  test('56: a patched header byte boots, and the CRC no longer matches', async () => {
    const patched = image('1.0');
    patched[3] = 0x20 | (patched[3]! & 0x0f);
    const board = await blank();
    const host = new LabHost(board);
    await host.sync();
    await host.writeByRom(0, patched);
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toEqual({ state: 'running' });
    expect(board.events.recent('app.start').at(-1)).toMatchObject({ checksumOk: true, crcOk: false });
  });

  test('READ_FLASH whose host stops acknowledging goes no further, and a reset recovers', async () => {
    const board = await blank();
    const host = new LabHost(board);
    await host.sync();
    await host.startStub();
    await host.request(command.READ_FLASH, words(0, 0x3000, 0x1000, 64));
    expect(await host.frame()).toHaveLength(0x1000);
    expect(await host.frame()).toBeUndefined();
    host.send(rawFrame(words(0x1000)));
    expect(await host.frame()).toHaveLength(0x1000);
    await board.reset('external');
    expect(await host.sync()).toEqual(new Array(8).fill(ROM_VALUE));
  });
});

describe('a sketch that was started without a reset (strap 1 still latched)', () => {
  test('43: RUN_USER_CODE without a reply: the sketch runs, without a second banner', async () => {
    const board = await softReset();
    expect(board.state).toEqual({ state: 'running' });
    expect(banners(board)).toEqual([BANNER(1, 1)]);
    expect(count(board.serial.text(), '~ld')).toBe(1);
    expect(board.events.recent('loader.end').at(-1)).toMatchObject({ dialect: 'stub', next: 'run-flash' });
    expect(board.events.recent('reset')).toHaveLength(1);
  });

  test('44: ArduinoOTA takes the invitation, and Update.begin refuses with error 11', async () => {
    const board = await softReset();
    const { udp } = await uploadVirtually(board, image('2.0'));
    expect(udp).toEqual(['ERR: ERROR[11]: Invalid bootstrapping state, reset ESP8266 before updating\n']);
    expect(board.events.recent('update.error').at(-1)).toMatchObject({ code: 11, name: 'BOOTSTRAP' });
  });

  test('44: the web updater shows the same text', async () => {
    const board = await softReset(image('1.0', 'web-updater'));
    const { ok, error } = await driveUpdate(board, { path: 'web', target: 'sketch', image: image('2.0') });
    expect(ok).toBe(false);
    expect(error).toMatch(/ERROR\[11\]: Invalid bootstrapping state, reset ESP8266 before updating/);
  });

  test('44: httpUpdate fails with the error of the Updater', async () => {
    const board = await softReset(image('1.0', 'http-update'), deviceOptionsFor('http-update', 'sketch'));
    const { ok } = await driveUpdate(board, {
      path: 'http-update',
      target: 'sketch',
      image: image('2.0', 'http-update'),
    });
    expect(ok).toBe(false);
    expect(board.events.recent('update.error').at(-1)).toMatchObject({ code: 11, name: 'BOOTSTRAP' });
    expect(board.events.recent('httpupdate.end').at(-1)).toMatchObject({
      result: 'failed',
      error: 11,
      message: 'Update error: ERROR[11]: Invalid bootstrapping state, reset ESP8266 before updating',
    });
  });

  test('45: ESP.restart() ends in the loader, a watchdog period later the watchdog bites, then silence: rom-hang', async () => {
    const board = await softReset();
    const before = board.serial.text().length;
    const restarted = board.nowUs;
    void board.reset('software');
    await board.advance(60_000_000);
    expect(board.serial.text().slice(before)).toBe(
      `\r\n ets Jan  8 2013,${BANNER(1, 1)}\r\n\r\n` + `\r\n ets Jan  8 2013,${BANNER(4, 1)}\r\n\r\nwdt reset\r\n`,
    );
    expect(board.state).toMatchObject({ state: 'dead', why: 'rom-hang', cure: 'external' });
    const [, bite] = board.events.recent('reset').slice(-2);
    expect(bite).toMatchObject({ cause: 'hardware-watchdog' });
    expect(bite!.atUs - restarted).toBeGreaterThan(1_000_000);
    // 46: the reset button latches GPIO0 anew, and OTA works.
    expect(await board.reset('external')).toEqual({ state: 'running' });
    expect(banners(board).at(-1)).toBe(BANNER(2, 3));
    await uploadVirtually(board, image('2.0'));
    await board.advance(5_000_000);
    expect(board.events.recent('app.start').at(-1)?.version).toBe('2.0');
  });

  test('45: a crash does the same, as it restarts by software', async () => {
    const board = await softReset();
    void board.reset('exception');
    await board.advance(60_000_000);
    expect(board.state).toMatchObject({ state: 'dead', why: 'rom-hang', cure: 'external' });
  });

  test('the chip that hangs there is in its loader: a host can flash it', async () => {
    const board = await softReset();
    void board.reset('software');
    await board.advance(60_000_000);
    const host = new LabHost(board);
    expect(await host.sync()).toEqual(new Array(8).fill(ROM_VALUE));
    await host.writeByRom(0, image('5.0'));
    await board.reset('external');
    expect(board.events.recent('app.start').at(-1)?.version).toBe('5.0');
  });
});

describe('several hosts', () => {
  test('all of them read; the first that completes a request owns the input until it closes', async () => {
    const board = await blank();
    const [flasher, other, monitor] = [
      new LabHost(board, { name: 'flasher' }),
      new LabHost(board, { name: 'other' }),
      new LabHost(board, { name: 'monitor', lines: true }),
    ];
    expect(await flasher.sync()).toHaveLength(8);
    other.frames.length = 0;
    other.send(encodeRequest(command.FLASH_BEGIN, words(0x10000, 64, 0x400, 0)));
    monitor.connection.setLines({ rts: true }); // its reset button is without effect, too
    const half = encodeRequest(command.FLASH_DATA, new Uint8Array(0x410).fill(0xc0));
    other.send(half.subarray(0, 100));
    await flasher.writeByRom(0, image('1.0'));
    expect(board.flash.read(0, 60_000)).toEqual(image('1.0'));
    expect(other.text).toBe(monitor.text.slice(monitor.text.length - other.text.length));
    const told = board.events.recent('serial.host').map(({ peer, state }) => `${peer} ${state}`);
    expect(told.slice(3)).toEqual(['flasher flashing', 'other ignored', 'monitor ignored']);
    flasher.connection.close();
    expect(await other.sync()).toHaveLength(8);
    expect(board.events.recent('serial.host').at(-1)).toMatchObject({ peer: 'other', state: 'flashing' });
  });

  test('two flashers that write at the same moment: one image is there, whole', async () => {
    const board = await blank();
    const [first, second] = [new LabHost(board), new LabHost(board)];
    await first.sync();
    const frames = [
      encodeRequest(command.FLASH_BEGIN, words(0x1000, 1, 0x400, 0)),
      encodeRequest(command.FLASH_BEGIN, words(0x1000, 1, 0x400, 0x100000)),
    ];
    for (let i = 0; i < frames[0]!.length; i++) {
      first.send(frames[0]!.subarray(i, i + 1));
      second.send(frames[1]!.subarray(i, i + 1));
    }
    await board.advance(1_000_000);
    expect(board.events.recent('flash.erase').map(({ address }) => address)).toEqual([0, 0x1000]);
  });

  test('while a sketch runs everybody may type into it', async () => {
    let heard = '';
    const sketch: SketchFactory = ({ Serial }) => ({
      loop() {
        for (let byte = Serial.read(); byte >= 0; byte = Serial.read()) heard += String.fromCharCode(byte);
      },
    });
    const board = await device({ sketch });
    await board.powerOn();
    const [one, two] = [new LabHost(board), new LabHost(board, { lines: true })];
    one.send(Buffer.from('hel'));
    two.send(Buffer.from('lo'));
    board.serial.write(' world');
    await board.advance(50_000);
    expect(heard).toBe('hello world');
    // The core's buffer holds 256 bytes; what is more is lost, in the event it is shown in part.
    heard = '';
    one.send(new Uint8Array(100_000).fill(0x61));
    await board.advance(50_000);
    expect(heard).toBe('a'.repeat(256));
    expect(board.events.recent('serial.in').at(-1)).toMatchObject({ length: 100_000, text: 'a'.repeat(256) });
  });

  test('a flasher that hangs without closing keeps the loader until the chip is reset, not longer', async () => {
    const board = await blank();
    const [hung, next] = [new LabHost(board, { name: 'hung' }), new LabHost(board, { name: 'next' })];
    expect(await hung.sync()).toHaveLength(8);
    hung.send(encodeRequest(command.FLASH_DATA, new Uint8Array(0x410)).subarray(0, 500));
    expect(await next.sync()).toEqual([]);
    board.straps.gpio0 = 0;
    await board.reset('external');
    expect(await next.sync()).toEqual(new Array(8).fill(ROM_VALUE));
    await next.writeByRom(0, image('1.0'));
    hung.send(encodeRequest(command.FLASH_BEGIN, words(0x1000, 1, 0x400, 0))); // its turn is over
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toEqual({ state: 'running' });
  });

  test('seventeen hosts are one too many', async () => {
    const board = await running();
    const hosts = Array.from({ length: 16 }, () => new LabHost(board));
    expect(() => new LabHost(board)).toThrow(/full/);
    hosts[3]!.connection.close();
    expect(() => new LabHost(board)).not.toThrow();
  });
});

describe('bad input', () => {
  test('invariant: whatever several hosts send and pull, nothing breaks, and a reset brings a loader that answers', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(
        Uint8Array.of(0xc0),
        encodeRequest(command.SYNC, SYNC_DATA),
        encodeRequest(command.FLASH_BEGIN, words(0x2000, 8, 0x400, 0x3ff000)),
        encodeRequest(command.FLASH_BEGIN, words(0xffffffff, 8, 0x400, 0xfffff000)),
        encodeRequest(command.FLASH_DATA, new Uint8Array(0x410)),
        encodeRequest(command.FLASH_END, words(0)),
        encodeRequest(command.FLASH_END, words(1)),
        encodeRequest(command.MEM_END, words(0, 0)),
        encodeRequest(command.RUN_USER_CODE),
        encodeRequest(0x77, new Uint8Array(300)),
      ),
    );
    const action = fc.record({
      host: fc.nat(2),
      bytes: piece,
      lines: fc.option(fc.record({ dtr: fc.boolean(), rts: fc.boolean() }), { freq: 3 }),
      waitMs: fc.constantFrom(0, 0, 1, 60, 1500),
      leave: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), fc.boolean(), async (actions, download) => {
        const board = await createDevice({ clock: 'virtual', sketch: 'blank', boot: download ? 'download' : 'flash' });
        await board.powerOn();
        const failed = board.failed.catch((error: unknown) => error);
        const hosts = [0, 1, 2].map((i) => new LabHost(board, { lines: i > 0 }));
        for (const { host, bytes, lines, waitMs, leave } of actions) {
          hosts[host]!.send(bytes);
          if (lines) hosts[host]!.connection.setLines(lines);
          if (waitMs > 0) await board.advance(waitMs * 1000);
          if (!leave) continue;
          hosts[host]!.connection.close();
          hosts[host] = new LabHost(board, { lines: host > 0 });
        }
        for (const { connection } of hosts) connection.close();
        await board.advance(20_000_000);
        board.straps.gpio0 = 0;
        expect(await Promise.race([board.reset('external'), failed])).toEqual({ state: 'download' });
        expect(await new LabHost(board).sync()).toEqual(new Array(8).fill(ROM_VALUE));
        await board.close();
      }),
      { numRuns: 40 },
    );
  });

  test('invariant: one more or one less byte anywhere in an upload never changes flash outside the blocks that were accepted', async () => {
    const board = await blank();
    const host = new LabHost(board);
    await host.sync();
    await host.request(command.FLASH_BEGIN, words(0x1000, 4, 0x400, 0x10000));
    const bytes = Uint8Array.from({ length: 0x400 }, (_, i) => (i * 5) & 0xff);
    const frame = encodeRequest(command.FLASH_DATA, Buffer.concat([words(0x400, 0, 0, 0), bytes]), 0);
    for (let at = 1; at < frame.length - 1; at += 97) {
      host.send(Buffer.concat([frame.subarray(0, at), frame.subarray(at + 1)]));
      host.send(Buffer.concat([frame.subarray(0, at), Buffer.of(0x11), frame.subarray(at)]));
    }
    await board.advance(10_000_000);
    // The checksum field was wrong in all of them.
    expect(board.flash.read(0x10000, 0x2000).every((byte) => byte === 0xff)).toBe(true);
    host.forget();
    expect(await host.block(command.FLASH_DATA, 0, bytes)).toBe('0000');
    expectBytes(board.flash.read(0x10000, 0x400), bytes);
  });
});

describe('baud rates', () => {
  const rates = async (board: Device, during: () => Promise<unknown>): Promise<[string, number][]> => {
    const seen: [string, number][] = [];
    const stop = board.serial.onOutput((bytes, baud) => {
      const text = Buffer.from(bytes).toString('latin1');
      if (seen.at(-1)?.[1] === baud) seen.at(-1)![0] += text;
      else seen.push([text, baud]);
    });
    await during();
    stop();
    return seen;
  };

  test('ROM and eboot at 74880, the sketch at 115200; after a software restart the ROM too, as the PLL is still set', async () => {
    const board = await device({ image: image('1.0') });
    const cold = await rates(board, () => board.powerOn());
    expect(cold.map(([, baud]) => baud)).toEqual([74_880, 115_200]);
    expect(cold[0]![0]).toMatch(/ets Jan[\s\S]*~ld/);
    expect(cold[1]![0]).toMatch(/^Booting/);
    expect((await rates(board, () => board.reset('software'))).map(([, baud]) => baud)).toEqual([115_200]);
    expect((await rates(board, () => board.reset('external'))).map(([, baud]) => baud)).toEqual([74_880, 115_200]);
  });

  test('a sketch can say another rate', async () => {
    const sketch: SketchFactory = ({ Serial }) => ({
      setup() {
        Serial.begin(9600);
        Serial.println('slow');
      },
    });
    const board = await device({ sketch });
    expect((await rates(board, () => board.powerOn())).at(-1)).toEqual(['slow\r\n', 9600]);
  });

  test('--serial-baud-faithful: a monitor at 115200 sees garbage of the ROM and reads the sketch; at 74880 the other way', async () => {
    const board = await device({ image: image('1.0'), serial: { baudFaithful: true } });
    const [fast, slow] = [new LabHost(board), new LabHost(board, { lines: true })];
    slow.connection.setBaud(74_880);
    await board.powerOn();
    expect(fast.text).not.toContain('ets Jan');
    expect(fast.text).toContain('Booting\r\nReady\r\n');
    expect(slow.text).toContain('ets Jan  8 2013');
    expect(slow.text).not.toContain('Booting');
    // The loader follows its host, at whatever rate that begins.
    board.straps.gpio0 = 0;
    await board.reset('external');
    slow.connection.setBaud(57_600);
    expect(await slow.sync()).toHaveLength(8);
    // 16: the divider tells the host that the crystal has 26 MHz: rate · divider / 2 million.
    const divider = (await slow.request(command.READ_REG, words(0x60000014)))!.value;
    expect(Math.round((57_600 * (divider & 0xfffff)) / 2e6)).toBe(26);
  });

  test('--serial-baud-faithful: what a host types at another rate is garbage to the sketch', async () => {
    for (const baudFaithful of [false, true]) {
      let heard = '';
      const sketch: SketchFactory = ({ Serial }) => ({
        setup: () => Serial.begin(9600),
        loop() {
          for (let byte = Serial.read(); byte >= 0; byte = Serial.read()) heard += String.fromCharCode(byte);
        },
      });
      const board = await device({ sketch, serial: { baudFaithful } });
      await board.powerOn();
      const [right, wrong] = [new LabHost(board, { lines: true }), new LabHost(board)]; // a raw one has 115200
      right.connection.setBaud(9600);
      for (const [host, readable] of [
        [right, true],
        [wrong, !baudFaithful],
      ] as const) {
        heard = '';
        host.send(Buffer.from('hello'));
        await board.advance(50_000);
        expect(heard === 'hello', `${baudFaithful}`).toBe(readable);
      }
    }
  });

  test('--serial-baud-faithful: a host that changes its rate by itself is not understood by the loader any more', async () => {
    const board = await blank({ serial: { baudFaithful: true } });
    const host = new LabHost(board, { lines: true });
    host.connection.setBaud(115_200);
    await host.sync();
    host.connection.setBaud(460_800);
    host.send(encodeRequest(command.FLASH_BEGIN, words(0x1000, 4, 0x400, 0x10000)));
    await board.advance(1_000_000);
    expect(board.events.recent('loader.command').map(({ name }) => name)).toEqual(['SYNC']);
    host.connection.setBaud(115_200);
    expect(await host.sync()).toHaveLength(8);
  });

  test('CHANGE_BAUDRATE: the reply at the old rate, all else at the new one', async () => {
    const board = await blank({ serial: { baudFaithful: true } });
    const host = new LabHost(board, { lines: true });
    host.connection.setBaud(115_200);
    await host.sync();
    await host.startStub();
    expect(await host.request(command.CHANGE_BAUDRATE, words(460_800, 115_200))).toMatchObject({ status: '0000' });
    expect(await host.request(command.READ_REG, words(0x40001000))).toBeUndefined(); // garbage
    host.forget();
    host.connection.setBaud(460_800);
    expect(await host.request(command.READ_REG, words(0x40001000))).toMatchObject({ value: 0xfff0c101 });
  });
});
