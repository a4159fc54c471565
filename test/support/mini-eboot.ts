/**
 * A bootloader of our own, in LX106 code: it does with raw images what eboot of `master` does, so that the executed engine
 * can be compared with the model where no real bootloader may be kept. Source: spec chapter 01 §9.2 to §9.5.
 */
import { ROM_FUNCTIONS as rom } from '../../eboot/native/rom-entries.ts';
import { type Assembler, assemble } from './assembler.ts';

const SECTOR = 0x1000;
const SECTOR_BUFFER = 0x3ffe8000;
const COMPARE_BUFFER = 0x3ffe9000;
const COMMAND = 0x60001200;
const POLYNOMIAL = 0x04c11db7;
/** Stack slots. */
const WORD = 16;
const IMAGE = 16;
const SEGMENT = 24;

/** Sector 0 with this bootloader. */
export function miniEboot(): Uint8Array {
  return assemble((a) => {
    // a12 action, a13 whether there is a command, a14 base, a15 result
    a.addi(1, 1, -64);
    a.addi(3, 1, WORD).call(rom.SPIRead, 0x1010, undefined, 4).bnez(2, 'no version');
    a.l32i(3, 1, WORD).call(rom.ets_printf, a.text('v%08x\n'));
    a.label('no version').set(14, 0).set(15, 9).set(12, -1);
    a.call0('check command').mov(13, 2).beqz(13, 'none');
    a.call(rom.ets_putc, '@'.charCodeAt(0)).set(3, COMMAND).l32i(12, 3, 4).l32i(14, 3, 8).j('copy?');
    a.label('none').call(rom.ets_putc, '~'.charCodeAt(0));

    a.label('copy?').set(3, 1).bne(12, 3, 'copied');
    a.call(rom.ets_printf, a.text('cp:')).call(rom.ets_wdt_disable);
    a.call0('copy').mov(15, 2).call(rom.ets_wdt_enable, 4, 12, 12);
    a.mov(3, 15).call(rom.ets_printf, a.text('%d\n')).bnez(15, 'copied');
    a.set(12, -1).set(3, COMMAND).l32i(14, 3, 12);

    a.label('copied').beqz(13, 'load?').set(3, COMMAND).set(4, 0).s32i(4, 3, 0).s32i(4, 3, 124);
    a.label('load?').set(3, -1).bne(12, 3, 'reset');
    a.call(rom.ets_printf, a.text('ld\n')).call0('load').mov(15, 2);
    a.mov(3, 15).call(rom.ets_printf, a.text('e:%d\n'));
    a.label('reset').set(3, 0x60000700).set(4, 0x80000000).s32i(4, 3, 0).label('for ever').j('for ever');

    checkCommand(a.align().label('check command'));
    copy(a.align().label('copy'));
    load(a.align().label('load'));
  });
}

/** a2: 1 when magic and CRC are right. */
function checkCommand(a: Assembler): void {
  a.set(3, COMMAND).set(4, -1).set(5, 31).set(11, POLYNOMIAL);
  a.label('crc word').l32i(6, 3, 0).set(7, 4);
  a.label('crc byte').slli(8, 6, 24).xor(4, 4, 8).srli(6, 6, 8).set(8, 8);
  a.label('crc bit').mov(9, 4).slli(4, 4, 1).bgez(9, 'no carry').xor(4, 4, 11);
  a.label('no carry').addi(8, 8, -1).bnez(8, 'crc bit').addi(7, 7, -1).bnez(7, 'crc byte');
  a.addi(3, 3, 4).addi(5, 5, -1).bnez(5, 'crc word').set(2, 0).l32i(5, 3, 0).bne(4, 5, 'no command');
  a.set(3, COMMAND).l32i(4, 3, 0).set(5, 0xfffff000).and(4, 4, 5).set(5, 0xeb001000).bne(4, 5, 'no command');
  a.set(2, 1).label('no command').ret();
}

/** a2: the result code. */
function copy(a: Assembler): void {
  a.addi(1, 1, -32).s32i(0, 1, 0).s32i(12, 1, 4).s32i(13, 1, 8).s32i(14, 1, 12);
  // a12 source, a13 destination, a14 bytes left
  a.set(3, COMMAND).l32i(12, 3, 8).l32i(13, 3, 12).l32i(14, 3, 16);
  a.or(4, 12, 13)
    .set(5, SECTOR - 1)
    .and(4, 4, 5)
    .set(2, 1)
    .bnez(4, 'copy ends');
  a.add(14, 14, 5).set(5, -SECTOR).and(14, 14, 5);
  a.label('next sector').set(2, 0).beqz(14, 'copy ends').bltz(14, 'copy ends');
  a.mov(2, 12).call(rom.SPIRead, undefined, SECTOR_BUFFER, SECTOR).beqz(2, 'source read').set(2, 3).j('copy ends');
  a.label('source read').bnez(13, 'write');
  a.mov(2, 13).call(rom.SPIRead, undefined, COMPARE_BUFFER, SECTOR).beqz(2, 'compare').set(2, 4).j('copy ends');
  a.label('compare').call(rom.memcmp, SECTOR_BUFFER, COMPARE_BUFFER, SECTOR).bnez(2, 'write');
  a.call(rom.ets_putc, 'B'.charCodeAt(0)).j('written');
  a.label('write').srli(2, 13, 12).call(rom.SPIEraseSector).beqz(2, 'erased').set(2, 2).j('copy ends');
  a.label('erased').mov(2, 13).call(rom.SPIWrite, undefined, SECTOR_BUFFER, SECTOR).beqz(2, 'written');
  a.set(2, 4).j('copy ends');
  a.label('written').set(5, SECTOR).add(12, 12, 5).add(13, 13, 5).sub(14, 14, 5).j('next sector');
  a.label('copy ends').l32i(0, 1, 0).l32i(12, 1, 4).l32i(13, 1, 8).l32i(14, 1, 12).addi(1, 1, 32).ret();
}

/** Jumps into the application at a14 + 0x1000, or comes back with a code in a2. Spoils a12 to a14, which no one needs then. */
function load(a: Assembler): void {
  a.addi(1, 1, -48).s32i(0, 1, 0).set(5, SECTOR).add(14, 14, 5);
  a.mov(2, 14).addi(3, 1, IMAGE).call(rom.SPIRead, undefined, undefined, 8).beqz(2, 'header').set(2, 1).j('load ends');
  a.label('header')
    .addi(14, 14, 8)
    .l8ui(13, 1, IMAGE + 1);
  a.label('next segment').beqz(13, 'jump').addi(13, 13, -1);
  a.mov(2, 14)
    .addi(3, 1, SEGMENT)
    .call(rom.SPIRead, undefined, undefined, 8)
    .beqz(2, 'segment')
    .set(2, 2)
    .j('load ends');
  a.label('segment')
    .addi(14, 14, 8)
    .l32i(3, 1, SEGMENT)
    .l32i(4, 1, SEGMENT + 4)
    .mov(12, 4);
  a.set(5, 0x40000000).bltu(3, 5, 'take').set(5, 0x60000000).bgeu(3, 5, 'take');
  a.set(5, 0x4010c000).bgeu(3, 5, 'skip').set(5, 0x40100000).bltu(3, 5, 'skip');
  a.label('take').mov(2, 14).call(rom.SPIRead).beqz(2, 'skip').set(2, 3).j('load ends');
  a.label('skip').add(14, 14, 12).j('next segment');
  a.label('jump')
    .l32i(2, 1, IMAGE + 4)
    .set(1, 0x3ffffff0)
    .jx(2);
  a.label('load ends').l32i(0, 1, 0).addi(1, 1, 48).ret();
}
