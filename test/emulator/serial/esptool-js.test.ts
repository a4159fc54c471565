/** Espressif's own esptool-js against the serial port, over real sockets: raw TCP and RFC 2217. */
import { createHash } from 'node:crypto';
import { ESPLoader, Transport } from 'esptool-js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  buildImage,
  createDevice,
  type Device,
  type DeviceOptions,
  type HostPort,
  type UploadResult,
  uploadOverOta,
} from '../../../emulator/index.ts';
import { expectBytes } from '../../support/flash.ts';
import { TcpSerialPort } from '../../support/web-serial.ts';

const image = (version: string): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size: 100_000, layout: '4m2m' });

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
  vi.restoreAllMocks();
});

async function device(options: DeviceOptions): Promise<Device> {
  const made = await createDevice({
    ota: { port: 0 },
    http: { port: 0 },
    serial: { transport: 'tcp', port: 0 },
    chipId: 0x112233,
    ...options,
  });
  cleanUp.push(() => made.close());
  await made.powerOn();
  return made;
}

interface Tool {
  readonly loader: ESPLoader;
  readonly transport: Transport;
  readonly port: TcpSerialPort;
  readonly lines: string[];
}

function esptool(board: Device, kind: 'tcp' | 'rfc2217', baudrate = 115_200): Tool {
  const at = board.address.serial as HostPort;
  const port = new TcpSerialPort(at.host, at.port, kind);
  // It says much on the console.
  vi.spyOn(console, 'log').mockImplementation(() => {});
  const transport = new Transport(port as never);
  const lines: string[] = [];
  const loader = new ESPLoader({
    transport,
    baudrate,
    romBaudrate: 115_200,
    terminal: { clean() {}, writeLine: (line: string) => lines.push(line), write: (text: string) => lines.push(text) },
  });
  cleanUp.push(() => transport.disconnect().catch(() => {}));
  return { loader, transport, port, lines };
}

const write = (loader: ESPLoader, data: Uint8Array, address: number, compress: boolean): Promise<void> =>
  loader.writeFlash({
    fileArray: [{ data, address }],
    flashSize: 'keep',
    flashMode: 'keep',
    flashFreq: 'keep',
    eraseAll: false,
    compress,
    ...(loader.IS_STUB
      ? { calculateMD5Hash: (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex') }
      : {}),
  });

describe('esptool-js over raw TCP', () => {
  test('blank chip: identify, MAC, flash id, write with the stub, verify, read back, erase', async () => {
    const board = await device({ boot: 'download' });
    const { loader, lines } = esptool(board, 'tcp');
    expect(await loader.main('no_reset')).toBe('ESP8266EX');
    expect(loader.IS_STUB).toBe(true);
    const text = lines.join('\n');
    expect(text).toContain('MAC: 5c:cf:7f:11:22:33');
    expect(text).toContain('Crystal is 26MHz');
    expect(text).not.toContain('WARNING');
    expect(await loader.readFlashId()).toBe(0x1640ef);
    expect(await loader.detectFlashSize()).toBe('4MB');

    const firmware = image('1.0');
    await write(loader, firmware, 0, true);
    expect(lines).toContain('Hash of data verified.');
    expectBytes(board.flash.read(0, firmware.length), firmware);
    expectBytes(await loader.readFlash(0, 0x3000), firmware.slice(0, 0x3000));
    const noise = Uint8Array.from({ length: 50_000 }, (_, i) => (i % 3 === 0 ? 0xc0 : (i * 7) & 0xff));
    await write(loader, noise, 0x200000, false);
    expectBytes(board.flash.read(0x200000, noise.length), noise);
    expectBytes(await loader.readFlash(0x200000, 0x1000), noise.slice(0, 0x1000));

    await loader.eraseFlash();
    expect(board.flash.read(0, 0x300000).every((byte) => byte === 0xff)).toBe(true);
    await write(loader, firmware, 0, true);
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toEqual({ state: 'running' });
    expect(board.events.recent('app.start').at(-1)).toMatchObject({ version: '1.0', crcOk: true });
  });

  test('a running sketch: the SYNC itself brings the loader (on-sync), and without the stub the ROM writes', async () => {
    const board = await device({ image: image('1.0') });
    const { loader, lines } = esptool(board, 'tcp');
    await loader.detectChip('no_reset');
    expect(loader.chip.CHIP_NAME).toBe('ESP8266');
    expect(lines.join('')).toContain('Connecting...');
    const firmware = image('2.0');
    await write(loader, firmware, 0, false);
    expectBytes(board.flash.read(0, firmware.length), firmware);
    await board.reset('external');
    expect(board.events.recent('app.start').at(-1)).toMatchObject({ version: '2.0', crcOk: true });
  });

  test('soft_reset starts the sketch, and leaves the state in which OTA is refused until a reset', async () => {
    const board = await device({ boot: 'download' });
    board.straps.gpio0 = 1;
    const { loader } = esptool(board, 'tcp');
    await loader.main('no_reset');
    await write(loader, image('1.0'), 0, true);
    const started = board.next('app.start');
    await loader.after('soft_reset');
    expect(await started).toMatchObject({ version: '1.0' });
    await expect.poll(() => board.state).toEqual({ state: 'running' });
    expect(board.events.recent('straps').at(-1)).toMatchObject({ latched: 1 });
    expect(await board.reset('software')).toMatchObject({ state: 'dead', why: 'rom-hang', cure: 'external' });
    expect(await board.reset('external')).toEqual({ state: 'running' });
  });

  test('the whole story: blank chip, serial upload, reset, OTA; without the reset OTA is refused', async () => {
    const board = await device({ boot: 'download' });
    const { loader, transport } = esptool(board, 'tcp');
    await loader.main('no_reset');
    await write(loader, image('1.0'), 0, true);
    await transport.disconnect();
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toEqual({ state: 'running' });
    const ota = (version: string): Promise<UploadResult> =>
      uploadOverOta({ host: '127.0.0.1', port: board.address.ota!.port, file: image(version) });
    const second = board.next('app.start');
    expect(await ota('2.0')).toMatchObject({ ok: true });
    expect(await second).toMatchObject({ version: '2.0', crcOk: true });
    await expect.poll(() => board.state).toEqual({ state: 'running' });

    const again = esptool(board, 'tcp');
    await again.loader.main('no_reset'); // the SYNC presses the buttons
    await write(again.loader, image('3.0'), 0, true);
    const third = board.next('app.start');
    await again.loader.after('soft_reset');
    expect(await third).toMatchObject({ version: '3.0' });
    await expect.poll(() => board.state).toEqual({ state: 'running' });
    expect(await ota('4.0')).toMatchObject({ ok: false });
    expect(board.events.recent('update.error').at(-1)).toMatchObject({ code: 11 });
    expect(await board.reset('external')).toEqual({ state: 'running' });
    const fourth = board.next('app.start');
    expect(await ota('4.0')).toMatchObject({ ok: true });
    expect(await fourth).toMatchObject({ version: '4.0' });
  });

  test('manual: a running sketch does not answer, and the tool gives up', async () => {
    const board = await device({ image: image('1.0'), serial: { transport: 'tcp', port: 0, download: 'manual' } });
    const { loader } = esptool(board, 'tcp');
    await expect(loader.connect('no_reset', 1)).rejects.toThrow(/Failed to connect/);
    expect(board.state).toEqual({ state: 'running' });
  });

  test('the stub is still there for the next connection', async () => {
    const board = await device({ boot: 'download' });
    const first = esptool(board, 'tcp');
    await first.loader.main('no_reset');
    await first.transport.disconnect();
    const { loader, lines } = esptool(board, 'tcp');
    await loader.main('no_reset');
    expect(lines).toContain('Stub is already running. No upload is necessary.');
  });
});

describe('esptool-js over RFC 2217', () => {
  test('49: reset by DTR and RTS, another baud rate, write, and the RTS pulse boots the new sketch', async () => {
    const board = await device({ image: image('1.0'), serial: { transport: 'rfc2217', port: 0, baudFaithful: true } });
    const { loader, transport, port, lines } = esptool(board, 'rfc2217', 460_800);
    expect(await loader.main('default_reset')).toBe('ESP8266EX');
    expect(lines).toContain('Changing baudrate to 460800');
    expect(lines.join('\n')).not.toContain('Continuing at');
    expect(port.answered).toContain(101);
    expect(port.answered.every((code) => code === 101 || code === 105)).toBe(true);
    const firmware = image('2.0');
    await write(loader, firmware, 0, true);
    expectBytes(board.flash.read(0, firmware.length), firmware);
    const started = board.next('app.start');
    // Transport.setSignals never forgets a DTR that was on, and repeats it with each RTS.
    await transport.setDTR(false);
    await transport.setRTS(true);
    await loader.after('hard_reset');
    expect(await started).toMatchObject({ version: '2.0' });
    expect(board.events.recent('straps').at(-1)).toMatchObject({ latched: 3 });
    await expect.poll(() => board.state).toEqual({ state: 'running' });
  });
});
