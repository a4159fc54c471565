/** Small programs on the executed engine: each ROM function and device that boot code uses, and every way to end. */
import { describe, expect, test } from 'vitest';
import { referenceLx106 } from '../../../assembly/host/lx106-reference.ts';
import { type BootOnceOptions, type BootOnceResult, bootOnce } from '../../../eboot/boot-once.ts';
import { createLx106Sync } from '../../../eboot/lx106.ts';
import { CpuSocket } from '../../../eboot/native/native-machine.ts';
import { ROM_FUNCTIONS as rom } from '../../../eboot/native/rom-entries.ts';
import { syntheticEboot } from '../../../flash/eboot-sector.ts';
import { type Assembler, assemble } from '../../support/assembler.ts';

const CORES = [
  ['WebAssembly', new CpuSocket(createLx106Sync)],
  ['TypeScript', new CpuSocket(referenceLx106)],
] as const;
const RTC_CONTROL = 0x60000700;
const BUFFER = 0x3ffe8000;

const reset = (a: Assembler): void => void a.set(3, RTC_CONTROL).set(4, 0x80000000).s32i(4, 3, 0);

describe.each(CORES)('on the core in %s', (_, socket) => {
  const run = (write: (a: Assembler) => void, options: Partial<BootOnceOptions> = {}): Promise<BootOnceResult> =>
    bootOnce({
      flash: new Uint8Array(0x10000).fill(0xff),
      rtcUser: new Uint8Array(512),
      engine: 'native',
      loader: assemble(write),
      socket,
      ...options,
    });

  test('prints, in the words of the ROM', async () => {
    const { uart, outcome } = await run((a) => {
      a.addi(1, 1, -16).call(rom.ets_printf, a.text('%d %08x %s|%5d|%c\r%%\n'), -7, 0xbeef, a.text('text'), 42, 0x41);
      a.call(rom.ets_putc, 0x0a).call(rom.uart_tx_one_char, 0xe9);
      a.set(3, 0x60000000).set(4, 0x21).s32i(4, 3, 0);
      reset(a);
    });
    expect(outcome).toBe('reset');
    expect(uart).toBe('-7 0000beef text|   42|A%\r\n\n\xe9!');
  });

  test('reads RTC memory and writes it, in any size', async () => {
    const rtcUser = new Uint8Array(512);
    rtcUser.set([0x78, 0x56, 0x34, 0x12]);
    const { uart } = await run(
      (a) => {
        a.addi(1, 1, -16).set(9, 0x60001200).l32i(3, 9, 0).mov(12, 9).call(rom.ets_printf, a.text('%08x'));
        a.set(3, -2).s32i(3, 12, 4).set(3, 0x5a).s8i(3, 12, 9);
        reset(a);
      },
      { rtcUser },
    );
    expect(uart).toBe('12345678');
    expect([...rtcUser.subarray(4, 12)]).toEqual([0xfe, 0xff, 0xff, 0xff, 0, 0x5a, 0, 0]);
  });

  test('erases, writes and reads flash; what the ROM refuses gives 1', async () => {
    const flash = new Uint8Array(0x10000).fill(0x5a);
    const { flashOps, uart } = await run(
      (a) => {
        a.addi(1, 1, -16).call(rom.SPIRead, 0x2000, BUFFER, 6).call(rom.SPIEraseSector, 3);
        a.set(3, BUFFER).set(4, 0x12345678).s32i(4, 3, 0).call(rom.SPIWrite, 0x30fe, BUFFER, 8).mov(12, 2);
        a.call(rom.SPIWrite, 0x3000, BUFFER, 5).add(12, 12, 2).call(rom.SPIEraseSector, 0x400).add(12, 12, 2);
        a.call(rom.SPIRead, 0x3ffffc, BUFFER, 8).add(12, 12, 2).mov(3, 12).call(rom.ets_printf, a.text('%d'));
        reset(a);
      },
      { flash },
    );
    expect(flashOps).toEqual([
      ['erase', 0x3000, 4096],
      ['write', 0x30fe, 8],
      ['write', 0x3000, 5, 'rc=1'],
      ['erase', 0x400000, 4096, 'rc=1'],
    ]);
    expect(uart).toBe('3');
    // Six bytes of 0x5A were read; the ROM stores whole words.
    expect([...flash.subarray(0x30fe, 0x3106)]).toEqual([0x78, 0x56, 0x34, 0x12, 0x5a, 0x5a, 0, 0]);
  });

  test('the SPI0 controller: flash id, status, page program, sector erase', async () => {
    const flash = new Uint8Array(0x10000).fill(0);
    const { uart, flashOps } = await run(
      (a) => {
        const spi = 12;
        const command = (bit: number): Assembler => a.set(4, 2 ** bit).s32i(4, spi, 0);
        a.addi(1, 1, -16).set(spi, 0x60000200);
        command(28).l32i(3, spi, 0x40).call(rom.ets_printf, a.text('%06x '));
        a.set(4, 0x4000).s32i(4, spi, 4);
        command(24); // not enabled: nothing
        command(30);
        command(27).l32i(3, spi, 0x10).call(rom.ets_printf, a.text('%d '));
        command(24); // erases 0x4000
        a.set(4, 0x04004000).s32i(4, spi, 4).set(4, 0x11223344).s32i(4, spi, 0x40);
        command(30);
        command(25);
        a.set(4, 0).s32i(4, spi, 0x40);
        command(31).l32i(3, spi, 0x40).call(rom.ets_printf, a.text('%08x'));
        reset(a);
      },
      { flash },
    );
    expect(uart).toBe('1640ef 2 11223344');
    expect(flashOps).toEqual([
      ['erase', 0x4000, 4096],
      ['write', 0x4000, 4],
    ]);
    expect([...flash.subarray(0x3fff, 0x4005)]).toEqual([0, 0x44, 0x33, 0x22, 0x11, 0xff]);
  });

  test('division, memory, watchdog', async () => {
    const { uart, watchdog } = await run((a) => {
      const show = (): Assembler => a.mov(3, 2).call(rom.ets_printf, a.text('%d '));
      a.addi(1, 1, -16).call(rom.__udivsi3, -2, 2);
      show().call(rom.__divsi3, -7, 2);
      show().call(rom.__divsi3, 0x80000000, -1);
      show()
        .call(rom.memset, BUFFER, 7, 16)
        .call(rom.memcpy, BUFFER + 32, BUFFER, 16);
      a.call(rom.memcmp, BUFFER, BUFFER + 32, 16);
      show()
        .set(3, BUFFER)
        .set(4, 9)
        .s8i(4, 3, 5)
        .call(rom.memcmp, BUFFER, BUFFER + 32, 16);
      show().call(rom.ets_wdt_disable);
      show().call(rom.ets_wdt_enable, 4, 12, 12).call(rom.ets_wdt_enable, 0, 5, 5).call(rom.ets_wdt_disable);
      show();
      reset(a);
    });
    expect(uart).toBe('2147483647 -3 -2147483648 0 2 -1 0 ');
    expect(watchdog).toEqual(['disable', 'enable 4 12 12', 'enable 0', 'disable']);
  });

  test('a system call is skipped and gives -1', async () => {
    const { uart } = await run((a) => {
      a.addi(1, 1, -16).syscall().mov(3, 2).call(rom.ets_printf, a.text('%d'));
      reset(a);
    });
    expect(uart).toBe('-1');
  });

  describe('ends', () => {
    test.each<[string, (a: Assembler) => void, object]>([
      [
        'a jump with the boot stack',
        (a) => a.set(2, 0xffffffff).jx(2),
        { outcome: 'boot', entry: 0xffffffff, sp: 0x3ffffff0 },
      ],
      ['a jump into the void', (a) => a.addi(1, 1, -16).set(2, 0x20000000).jx(2), { outcome: 'exception' }],
      ['an illegal instruction', (a) => a.ill(), { outcome: 'exception' }],
      ['a store to the ROM', (a) => a.set(3, 0x40000000).s32i(3, 3, 0), { outcome: 'exception' }],
      ['a byte store to instruction RAM', (a) => a.set(3, 0x40100000).s8i(3, 3, 0), { outcome: 'exception' }],
      ['an odd load', (a) => a.set(3, 0x3ffe8001).l32i(3, 3, 0), { outcome: 'exception' }],
      ['division by zero', (a) => a.addi(1, 1, -16).call(rom.__udivsi3, 1, 0), { outcome: 'exception' }],
      [
        'flash read to nowhere',
        (a) => a.addi(1, 1, -16).call(rom.SPIRead, 0, 0x50000000, 64),
        { outcome: 'exception' },
      ],
      ['a jump to itself', (a) => a.label('x').j('x'), { outcome: 'hang' }],
      [
        'a loop that stores',
        (a) => a.set(3, BUFFER).label('x').s32i(3, 3, 0).l32i(4, 3, 0).j('x'),
        { outcome: 'hang' },
      ],
      ['a loop that counts', (a) => a.label('x').addi(3, 3, 1).j('x'), { outcome: 'hang' }],
      ['WAITI without interrupts', (a) => a.waiti(), { outcome: 'hang' }],
      ['BREAK', (a) => a.brk(), { outcome: 'hang' }],
      ['an unknown ROM function', (a) => a.addi(1, 1, -16).call(0x40001234), { outcome: 'hang' }],
      ['a return', (a) => a.ret(), { outcome: 'hang', uart: 'user code done\r\n' }],
      ['the software reset of the ROM', (a) => a.addi(1, 1, -16).call(rom.software_reset), { outcome: 'reset' }],
      [
        'flash read over the reset register',
        (a) => a.addi(1, 1, -16).call(rom.SPIRead, 0, RTC_CONTROL, 4),
        { outcome: 'reset' },
      ],
    ])('%s', async (_name, write, wanted) => {
      expect(await run(write, { maxSteps: 3_000_000 })).toMatchObject(wanted);
    });

    test('code that overwrites itself runs on as what it became', async () => {
      const { uart, outcome } = await run((a) => {
        const nops = [0xf00020f0, 0x20f00020, 0x0020f000];
        a.addi(1, 1, -16).set(12, 0).j('again').align();
        a.label('patch').nop().nop().nop().j('first').call(rom.ets_putc, 0x6b);
        reset(a);
        a.label('first').call(rom.ets_putc, 0x31).setTo(3, 'patch');
        nops.forEach((word, index) => void a.set(4, word).s32i(4, 3, 4 * index));
        a.label('again').j('patch');
      });
      expect([uart, outcome]).toEqual(['1k', 'reset']);
    });
  });

  test('a program of random bytes ends by an outcome', async () => {
    let seed = 1;
    for (let round = 0; round < 60; round++) {
      const loader = assemble((a) => void a.nop());
      for (let i = 16; i < 1000; i++) {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        if (i >= 28) loader[i] = seed >>> 16;
      }
      new DataView(loader.buffer).setUint32(12, 984, true);
      loader[1] = 1;
      const result = await run(() => {}, { loader, maxSteps: 200_000 });
      expect(['boot', 'reset', 'exception', 'hang']).toContain(result.outcome);
    }
  });
});

describe('what it takes', () => {
  const flash = new Uint8Array(0x10000).fill(0xff);
  const rtcUser = new Uint8Array(512);

  test('the code of sector 0, when no loader is given', async () => {
    const own = flash.slice();
    own.set(assemble((a) => void a.addi(1, 1, -16).call(rom.ets_putc, 0x6b).call(rom.software_reset)));
    expect(await bootOnce({ flash: own, rtcUser, engine: 'native' })).toMatchObject({ outcome: 'reset', uart: 'k' });
  });

  test('a blank sector 0 starts nothing', async () => {
    expect(await bootOnce({ flash, rtcUser, engine: 'native' })).toEqual({
      outcome: 'hang',
      uart: '',
      flashOps: [],
      watchdog: [],
    });
  });

  test('mistakes of the caller', async () => {
    const standIn = syntheticEboot('master', 'dio', 0x400000, 40);
    await expect(bootOnce({ flash: standIn, rtcUser, engine: 'native' })).rejects.toThrow('without LX106 code');
    await expect(bootOnce({ flash, rtcUser, engine: 'native', loader: standIn })).rejects.toThrow('without LX106 code');
    await expect(bootOnce({ flash, rtcUser, engine: 'native', loader: Uint8Array.of(1) })).rejects.toThrow(
      'no boot image',
    );
  });
});
