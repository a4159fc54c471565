/** `stub: 'native'`: the stub that Espressif's own esptool-js uploads is executed, over a real socket, and does its work. */
import { createHash } from 'node:crypto';
import { ESPLoader, Transport } from 'esptool-js';
import { afterEach, expect, test, vi } from 'vitest';
import { buildImage, createDevice, type Device, type DeviceOptions, type HostPort } from '../../../emulator/index.ts';
import { expectBytes } from '../../support/flash.ts';
import { TcpSerialPort } from '../../support/web-serial.ts';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
  vi.restoreAllMocks();
});

async function board(options: DeviceOptions = {}): Promise<{ device: Device; loader: ESPLoader; lines: string[] }> {
  const device = await createDevice({
    ota: { port: 0 },
    http: { port: 0 },
    serial: { transport: 'tcp', port: 0 },
    chipId: 0x112233,
    boot: 'download',
    stub: 'native',
    ...options,
  });
  cleanUp.push(() => device.close());
  await device.powerOn();
  const at = device.address.serial as HostPort;
  // It says much on the console.
  vi.spyOn(console, 'log').mockImplementation(() => {});
  const transport = new Transport(new TcpSerialPort(at.host, at.port, 'tcp') as never);
  const lines: string[] = [];
  const terminal = {
    clean() {},
    writeLine: (line: string) => lines.push(line),
    write: (text: string) => lines.push(text),
  };
  const loader = new ESPLoader({ transport, baudrate: 115_200, romBaudrate: 115_200, terminal });
  cleanUp.push(() => transport.disconnect().catch(() => {}));
  return { device, loader, lines };
}

const write = (loader: ESPLoader, data: Uint8Array, address: number, compress: boolean): Promise<void> =>
  loader.writeFlash({
    fileArray: [{ data, address }],
    flashSize: 'keep',
    flashMode: 'keep',
    flashFreq: 'keep',
    eraseAll: false,
    compress,
    calculateMD5Hash: (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex'),
  });

test('write, verify, read back, erase; then a reset boots what was written', async () => {
  const { device, loader, lines } = await board();
  expect(await loader.main('no_reset')).toBe('ESP8266EX');
  expect(loader.IS_STUB).toBe(true);
  expect(device.events.recent('loader.start').map(({ dialect }) => dialect)).toEqual(['rom', 'stub']);
  expect(await loader.readFlashId()).toBe(0x1640ef);

  const firmware = buildImage({ sketch: 'basic-ota', version: '1.0', size: 100_000, layout: '4m2m' });
  await write(loader, firmware, 0, true);
  expect(lines).toContain('Hash of data verified.');
  expectBytes(device.flash.read(0, firmware.length), firmware);
  expectBytes(await loader.readFlash(0, 0x3000), firmware.slice(0, 0x3000));
  const noise = Uint8Array.from({ length: 20_000 }, (_, i) => (i % 3 === 0 ? 0xc0 : (i * 7) & 0xff));
  await write(loader, noise, 0x200000, false);
  expectBytes(device.flash.read(0x200000, noise.length), noise);

  const names = device.events.recent('loader.command').filter(({ status }) => status === 0);
  expect(new Set(names.map(({ name }) => name))).toEqual(
    new Set([
      ...['SYNC', 'READ_REG', 'WRITE_REG', 'MEM_BEGIN', 'MEM_DATA', 'MEM_END', 'FLASH_BEGIN', 'FLASH_DATA'],
      ...['FLASH_END', 'FLASH_DEFL_BEGIN', 'FLASH_DEFL_DATA', 'FLASH_DEFL_END', 'SPI_FLASH_MD5', 'READ_FLASH'],
    ]),
  );
  expect(device.cpu?.steps).toBeGreaterThan(100_000);
  device.straps.gpio0 = 1;
  expect(await device.reset('external')).toEqual({ state: 'running' });
  expect(device.cpu).toBeUndefined();
  expect(device.events.recent('app.start').at(-1)).toMatchObject({ version: '1.0', crcOk: true });
});

test('the stub reads the fuses of an ESP8285 as the ROM does', async () => {
  const { loader } = await board({ board: 'esp8285' });
  const name = await loader.main('no_reset');
  expect(name).toMatch(/^ESP8285/);
  expect(loader.IS_STUB).toBe(true);
  expect(await loader.chip.getChipDescription(loader)).toBe(name);
});
