/** Registers that hosts read and write. Source: spec chapter 05 §6. */
import { describe, expect, test } from 'vitest';
import { efuseWords, uartDivider } from '../../../ota-services/rom-loader/registers.ts';
import { bytes, LoaderBench, noise, words } from '../../support/loader-bench.ts';

/** How esptool reads a MAC address and a chip id out of OTP0, OTP1, OTP3. Source: spec chapter 05 §6.1. */
function hostView([otp0, otp1, , otp3]: readonly number[]): { mac: string; chipId: number } {
  const selector = (otp1! >> 16) & 0xff;
  const oui = otp3 ? [otp3 >> 16, otp3 >> 8, otp3] : selector === 0 ? [0x18, 0xfe, 0x34] : [0xac, 0xd0, 0x74];
  const mac = [...oui, otp1! >> 8, otp1!, otp0! >>> 24].map((byte) => (byte & 0xff).toString(16).padStart(2, '0'));
  return { mac: mac.join(':'), chipId: (otp0! >>> 24) | ((otp1! & 0xffffff) << 8) };
}

const otp = async (bench: LoaderBench): Promise<number[]> => {
  const found: number[] = [];
  for (let i = 0; i < 4; i++) found.push(await bench.register(0x3ff00050 + 4 * i));
  return found;
};

describe('identity', () => {
  test.each([
    ['row 14', '5C CF 7F 11 22 33', '5c:cf:7f:11:22:33', 0x112233],
    ['row 15', '18 FE 34 AA BB CC', '18:fe:34:aa:bb:cc', 0xaabbcc],
    ['another OUI', 'AC D0 74 00 00 FF', 'ac:d0:74:00:00:ff', 0x0000ff],
    ['high bits', 'FE FF FF FF FF FF', 'fe:ff:ff:ff:ff:ff', 0xffffff],
  ])('%s: %s', async (_, mac, expected, chipId) => {
    expect(hostView(await otp(new LoaderBench({ mac: bytes(mac) })))).toEqual({ mac: expected, chipId });
  });

  test('row 15: the first OUI is meant by OTP3 = 0 and selector 0', () => {
    expect(efuseWords(bytes('18 FE 34 AA BB CC'))).toEqual([0xcc000000, 0x0200aabb, 0x0000a000, 0]);
    expect(() => efuseWords(new Uint8Array(5))).toThrow(RangeError);
  });

  test('an ESP8266EX, not an ESP8285', async () => {
    const [otp0, , otp2] = await otp(new LoaderBench());
    expect([otp0! & 0x10, otp2! & 0x10000]).toEqual([0, 0]);
  });

  test.each([
    [1 << 20, 0x10, [0, 0, 0]],
    [2 << 20, 0x10, [0, 1, 0]],
    [4 << 20, 0x00, [1, 1, 0]],
  ])('an ESP8285 with %i bytes inside', (bytesInside, otp0Flag, sizeBits) => {
    for (const mac of ['5C CF 7F 11 22 33', '18 FE 34 AA BB CC']) {
      const otp = efuseWords(bytes(mac), bytesInside);
      expect([otp[0] & 0x10, otp[2] & 0x10000]).toEqual([otp0Flag, 0x10000]);
      expect([25, 26, 27].map((bit) => (otp[3] >>> bit) & 1)).toEqual(sizeBits);
      expect(hostView(otp).mac).toBe(mac.toLowerCase().replaceAll(' ', ':'));
    }
  });

  test('row 13: the magic word', async () => {
    expect(await new LoaderBench().register(0x40001000)).toBe(0xfff0c101);
  });

  test('what is in ROM and fuses cannot be written, and UART date keeps its value as a delay carrier', async () => {
    const bench = new LoaderBench();
    for (const address of [0x40001000, 0x3ff00050, 0x60000078, 0x60000014]) {
      const before = await bench.register(address);
      await bench.ok(bench.command(0x09, words(address, 0x12345678, 0xffffffff, 10)));
      expect(await bench.register(address)).toBe(before);
    }
    expect(await bench.register(0x60000078)).toBe(0x00062000);
  });

  test('row 16: the divider of a 26 MHz crystal, at the rate that the host uses', async () => {
    const bench = new LoaderBench();
    expect(await bench.register(0x60000014)).toBe(451);
    bench.loader.baud = 74880;
    expect(await bench.register(0x60000014)).toBe(694);
    for (const baud of [9600, 57600, 115200, 230400, 460800, 921600]) {
      const estimate = (baud * uartDivider(baud)) / 1e6 / 2;
      expect(Math.abs(estimate - 26), `${baud}`).toBeLessThan(1);
    }
    expect(uartDivider(0)).toBeLessThanOrEqual(0xfffff);
  });

  test('after CHANGE_BAUDRATE the divider is that of the new rate', async () => {
    const bench = new LoaderBench();
    await bench.startStub();
    await bench.ok(bench.command(0x0f, words(460800, 115200)));
    expect(await bench.register(0x60000014)).toBe(113);
    await bench.ok(bench.command(0x0f, words(0, 460800)));
    expect(bench.bauds).toEqual([460800]);
  });
});

describe('other registers', () => {
  test('keep what was written, and are 0 before', async () => {
    const bench = new LoaderBench();
    expect(await bench.register(0x60000300)).toBe(0);
    await bench.ok(bench.command(0x09, words(0x60000300, 0xdeadbeef, 0xffffffff, 0)));
    expect(await bench.register(0x60000300)).toBe(0xdeadbeef);
    await bench.ok(bench.command(0x09, words(0x60000300, 0xffffffff, 0x0000ff00, 0)));
    expect(await bench.register(0x60000300)).toBe(0xdeadffef);
  });

  test('row 60: two groups in one WRITE_REG, in order', async () => {
    const bench = new LoaderBench();
    await bench.ok(
      bench.command(0x09, Buffer.concat([words(0x60000300, 5, 0xffffffff, 0), words(0x60000300, 2, 2, 0)])),
    );
    expect(await bench.register(0x60000300)).toBe(7);
    await bench.ok(
      bench.command(0x09, Buffer.concat([words(0x60000300, 1, 0xffffffff, 0), words(0x60000304, 9, 0xffffffff, 0)])),
    );
    expect([await bench.register(0x60000300), await bench.register(0x60000304)]).toEqual([1, 9]);
  });

  test('only so many are kept', async () => {
    const bench = new LoaderBench();
    for (let i = 0; i < 3000; i += 500) {
      const groups = Array.from({ length: 500 }, (_, k) => words(0x60010000 + 4 * (i + k), 1, 0xffffffff, 0));
      await bench.ok(bench.command(0x09, Buffer.concat(groups)));
    }
    expect(await bench.register(0x60010000)).toBe(0);
    expect(await bench.register(0x60010000 + 4 * 2999)).toBe(1);
  });

  test('a delay is device time', async () => {
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x09, words(0x60000300, 5, 0xffffffff, 1500)));
    expect(bench.clock.nowUs()).toBe(1500);
    const longest = words(0x60000300, 5, 0xffffffff, 0xffffffff);
    await bench.ok(bench.command(0x09, Buffer.concat([longest, longest])));
    expect(bench.clock.nowUs()).toBe(1_001_500);
  });
});

describe('SPI0', () => {
  const CMD_ONLY = 0x80000000;
  const READ = 0x90000000;
  const WRITE = 0x88000000;

  async function run(
    bench: LoaderBench,
    usr: number,
    usr1: number,
    opcode: number,
    w0 = 0,
    address = 0,
  ): Promise<number> {
    for (const [register, value] of [
      [0x60000220, usr1],
      [0x6000021c, usr],
      [0x60000224, 0x70000000 | opcode],
      [0x60000204, address],
      [0x60000240, w0],
      [0x60000200, 0x00040000],
    ] as const) {
      await bench.ok(bench.command(0x09, words(register, value, 0xffffffff, 0)));
    }
    return await bench.register(0x60000240);
  }

  test.each([
    ['row 17', 0x1440ef],
    ['row 18: no flash chip', 0xffffff],
    ['GigaDevice', 0x1640c8],
  ])('%s: RDID brings what the device says it has', async (_, flashId) => {
    expect(await run(new LoaderBench({ flashId }), READ, 23 << 8, 0x9f)).toBe(flashId);
  });

  test('an XMC part is known by its SFDP, no other is', async () => {
    const sfdp = async (flashId: number) =>
      await run(new LoaderBench({ flashId }), 0xf0000000, 0x5c000707, 0x5a, 0, 0x10 << 8);
    expect(await sfdp(0x164020)).toBe(0x20);
    expect(await sfdp(0x1640ef)).not.toBe(0x20);
  });

  test('status registers: written when that is enabled, once', async () => {
    const bench = new LoaderBench();
    const status = (opcode: number) => run(bench, READ, 7 << 8, opcode);
    await run(bench, WRITE, 7 << 17, 0x01, 0x1c);
    expect(await status(0x05)).toBe(0);
    await run(bench, CMD_ONLY, 0, 0x06);
    expect(await status(0x05)).toBe(0x02);
    await run(bench, WRITE, 15 << 17, 0x01, 0x021c);
    expect([await status(0x05), await status(0x35), await status(0x15)]).toEqual([0x1c, 0x02, 0]);
    await run(bench, CMD_ONLY, 0, 0x50);
    await run(bench, WRITE, 7 << 17, 0x11, 0x60);
    expect(await status(0x15)).toBe(0x60);
    await run(bench, CMD_ONLY, 0, 0x06);
    await run(bench, CMD_ONLY, 0, 0x04);
    expect(await status(0x05)).toBe(0x1c);
  });

  test('READ DATA brings flash, up to the 64 bytes of the data words', async () => {
    const bench = new LoaderBench();
    const data = noise(64);
    bench.chip.load(0x12345, data);
    await run(bench, 0xd0000000, (23 << 26) | (511 << 8), 0x03, 0, 0x12345 << 8);
    const read: number[] = [];
    for (let i = 0; i < 16; i++) read.push(await bench.register(0x60000240 + 4 * i));
    expect(words(...read)).toEqual(Buffer.from(data));
  });

  test('other commands and odd lengths leave no trace', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0, noise(4096));
    const before = bench.chip.peek(0, 4096);
    for (const opcode of [0xb9, 0x79, 0xff, 0xab, 0x4b, 0x00, 0x66, 0x99]) await run(bench, CMD_ONLY, 0, opcode);
    await run(bench, READ, 0x1ff << 8, 0x4b);
    await run(bench, 0x70000000, 0xffffffff, 0x9f);
    expect(bench.chip.peek(0, 4096)).toEqual(before);
    expect(bench.flashEvents).toEqual([]);
  });
});
