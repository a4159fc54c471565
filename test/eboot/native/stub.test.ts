/** Real LX106 code: the flasher stub of esptool-js, executed, with a host in memory. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { referenceLx106 } from '../../../assembly/host/lx106-reference.ts';
import { createLx106Sync } from '../../../eboot/lx106.ts';
import * as commands from '../../../ota-services/rom-loader/commands.ts';
import { expectBytes } from '../../support/flash.ts';
import { build } from '../../support/golden-flash.ts';
import { StubHost } from '../../support/stub-host.ts';

const CORES = [
  ['WebAssembly', createLx106Sync],
  ['TypeScript', referenceLx106],
] as const;

const mix = (seed: number, size: number): Uint8Array => build({ type: 'mix', seed, size });
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe.each(CORES)('on the core in %s', (_, createCpu) => {
  const greeted = async (): Promise<StubHost> => {
    const host = new StubHost(createCpu);
    expect(Buffer.from(await host.frame()).toString()).toBe('OHAI');
    return host;
  };

  test('it greets, syncs and reads registers', async () => {
    const host = await greeted();
    expect(await host.sync()).toMatchObject({ value: 0, status: 0 });
    for (let i = 0; i < 7; i++) expect((await host.frame())[1]).toBe(commands.SYNC);
    expect(await host.words(commands.READ_REG, 0x3ff00050)).toMatchObject({ value: 0x12345678, status: 0 });
    expect(await host.words(commands.WRITE_REG, 0x3ffe8000, 7, 0xffffffff, 0)).toMatchObject({ status: 0 });
    expect((await host.command(0x99)).status).not.toBe(0);
  });

  test('writes, verifies, erases and reads', async () => {
    const host = await greeted();
    const image = mix(5, 20_000);
    expect(await host.words(commands.SPI_SET_PARAMS, 0, 0x100000, 0x10000, 0x1000, 0x100, 0xffff)).toMatchObject({
      status: 0,
    });
    expect(await host.write(0x1000, image)).toEqual([0, 0, 0]);
    expect(hex((await host.words(commands.SPI_FLASH_MD5, 0x1000, image.length, 0, 0)).data)).toBe(md5(image));
    expectBytes(host.chip.chip.peek(0x1000, image.length), image);

    const second = mix(6, 50_000);
    expect(await host.writeDeflated(0x10000, second)).not.toContain(1);
    expect(hex((await host.words(commands.SPI_FLASH_MD5, 0x10000, second.length, 0, 0)).data)).toBe(md5(second));
    expectBytes(host.chip.chip.peek(0x10000, second.length), second);

    const read = await host.read(0x10000, 9000);
    expectBytes(read.bytes, second.subarray(0, 9000));
    expect(hex(read.md5)).toBe(md5(second.subarray(0, 9000)));

    expect(await host.words(commands.ERASE_REGION, 0x10000, 0x2000)).toMatchObject({ status: 0 });
    const wanted = second.slice();
    wanted.fill(0xff, 0, 0x2000);
    expectBytes(host.chip.chip.peek(0x10000, second.length), wanted);
    expect((await host.words(commands.ERASE_REGION, 0x10001, 0x2000)).status).not.toBe(0);
    expect(await host.words(commands.CHANGE_BAUDRATE, 230_400, 115_200)).toMatchObject({ status: 0 });
    expect(await host.sync()).toMatchObject({ status: 0 });
    expect(host.rates).toHaveLength(1);
    expect(host.rates[0]! / 230_400).toBeCloseTo(1, 1);
  });
});
