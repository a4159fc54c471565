/**
 * A small LX106 assembler, for programs that the tests execute: wide instructions, labels, a pool of literals in front of
 * the code. Encodings: spec chapter 07 §2.
 *
 * @example
 * const { image } = assemble(0x4010f000, (a) => {
 *   a.call(ROM_FUNCTIONS.ets_putc, 'x'.charCodeAt(0));
 *   a.label('for ever').j('for ever');
 * });
 */
import { encodeImage } from '../../flash/image-assemble.ts';

type Label = string;

interface Item {
  readonly encode: (pc: number) => number;
}

const NARROW_LIMIT = 2048;

export class Assembler {
  private readonly items: Item[] = [];
  private readonly labels = new Map<Label, number>();
  private readonly pool: (number | Label)[] = [];
  private readonly texts: { address: number; text: string }[] = [];
  private textEnd = 0x3fff20b8;
  private codeStart = 0;

  label(name: Label): this {
    if (this.labels.has(name)) throw new Error(`label "${name}" twice`);
    this.labels.set(name, this.items.length);
    return this;
  }

  /** Address of a zero-terminated text in data RAM. */
  text(text: string): number {
    const known = this.texts.find((entry) => entry.text === text);
    if (known) return known.address;
    const address = this.textEnd;
    this.texts.push({ address, text });
    this.textEnd += (text.length + 4) & ~3;
    return address;
  }

  /** Any constant into a register. */
  set(register: number, value: number): this {
    const signed = value | 0;
    if (signed >= -NARROW_LIMIT && signed < NARROW_LIMIT) {
      return this.put(() => fields(2, register, (signed >> 8) & 15, 10) | ((signed & 0xff) << 16)); // MOVI
    }
    const word = value >>> 0;
    let index = this.pool.indexOf(word);
    if (index < 0) index = this.pool.push(word) - 1;
    return this.literal(register, index);
  }

  /** The address of a label into a register. */
  setTo(register: number, label: Label): this {
    return this.literal(register, this.pool.push(label) - 1);
  }

  /** Calls a ROM function with constants as arguments; registers that hold arguments already are given as undefined. */
  call(address: number, ...args: (number | undefined)[]): this {
    args.forEach((value, index) => {
      if (value !== undefined) this.set(2 + index, value);
    });
    return this.set(8, address).put(() => fields(0, 12, 8, 0)); // CALLX0 a8
  }

  mov = (to: number, from: number): this => this.rrr(0, 2, to, from, from);
  add = (to: number, left: number, right: number): this => this.rrr(0, 8, to, left, right);
  sub = (to: number, left: number, right: number): this => this.rrr(0, 12, to, left, right);
  and = (to: number, left: number, right: number): this => this.rrr(0, 1, to, left, right);
  or = (to: number, left: number, right: number): this => this.rrr(0, 2, to, left, right);
  xor = (to: number, left: number, right: number): this => this.rrr(0, 3, to, left, right);
  slli = (to: number, from: number, bits: number): this => this.rrr(1, (32 - bits) >> 4, to, from, (32 - bits) & 15);
  srli = (to: number, from: number, bits: number): this => this.rrr(1, 4, to, bits, from);
  addi = (to: number, from: number, value: number): this => this.rri8(12, to, from, value);
  l8ui = (to: number, base: number, offset: number): this => this.rri8(0, to, base, offset);
  l32i = (to: number, base: number, offset: number): this => this.rri8(2, to, base, offset / 4);
  s8i = (from: number, base: number, offset: number): this => this.rri8(4, from, base, offset);
  s32i = (from: number, base: number, offset: number): this => this.rri8(6, from, base, offset / 4);
  nop = (): this => this.put(() => 0x0020f0);
  ill = (): this => this.put(() => 0);
  ret = (): this => this.put(() => 0x000080);
  waiti = (): this => this.put(() => fields(0, 0, 0, 7));
  brk = (): this => this.put(() => fields(0, 0, 0, 4));
  syscall = (): this => this.put(() => fields(0, 0, 0, 5));
  jx = (register: number): this => this.put(() => fields(0, 10, register, 0));

  j(label: Label): this {
    return this.put((pc) => 6 | (((this.address(label) - pc - 4) & 0x3ffff) << 6));
  }

  /** A subroutine of the program itself; the return address goes to a0. */
  call0(label: Label): this {
    return this.put((pc) => 5 | ((((this.address(label) - (pc & ~3) - 4) >> 2) & 0x3ffff) << 6));
  }

  beqz = (register: number, label: Label): this => this.branchZero(0, register, label);
  bnez = (register: number, label: Label): this => this.branchZero(1, register, label);
  bltz = (register: number, label: Label): this => this.branchZero(2, register, label);
  bgez = (register: number, label: Label): this => this.branchZero(3, register, label);
  beq = (left: number, right: number, label: Label): this => this.branch(1, left, right, label);
  bne = (left: number, right: number, label: Label): this => this.branch(9, left, right, label);
  bltu = (left: number, right: number, label: Label): this => this.branch(3, left, right, label);
  bgeu = (left: number, right: number, label: Label): this => this.branch(11, left, right, label);

  /** Fills up so that the next instruction, a subroutine, begins at a multiple of 4. */
  align(): this {
    while ((this.items.length * 3) % 4 !== 0) this.nop();
    return this;
  }

  /** @param origin CPU address of the pool, a multiple of 4 */
  finish(origin: number): { entry: number; segments: { address: number; data: Uint8Array }[] } {
    this.codeStart = origin + 4 * this.pool.length;
    const code = new Uint8Array((4 * this.pool.length + 3 * this.items.length + 3) & ~3);
    const view = new DataView(code.buffer);
    this.pool.forEach((word, index) => {
      view.setUint32(4 * index, typeof word === 'number' ? word : this.address(word), true);
    });
    this.items.forEach(({ encode }, index) => {
      const pc = this.codeStart + 3 * index;
      const word = encode(pc);
      for (let i = 0; i < 3; i++) code[pc - origin + i] = word >>> (8 * i);
    });
    const texts = new Uint8Array(this.textEnd - 0x3fff20b8);
    for (const { address, text } of this.texts) texts.set(Buffer.from(`${text}\0`, 'latin1'), address - 0x3fff20b8);
    const segments = [{ address: origin, data: code }];
    if (texts.length > 0) segments.push({ address: 0x3fff20b8, data: texts });
    return { entry: this.codeStart, segments };
  }

  private address(label: Label): number {
    const index = this.labels.get(label);
    if (index === undefined) throw new Error(`label "${label}" is nowhere`);
    return this.codeStart + 3 * index;
  }

  /** L32R of the pool's entry. */
  private literal(register: number, index: number): this {
    return this.put((pc) => {
      const offset = this.codeStart - 4 * (this.pool.length - index) - ((pc + 3) & ~3);
      return fields(1, register, 0, 0) | (((offset >> 2) & 0xffff) << 8);
    });
  }

  private put(encode: Item['encode']): this {
    this.items.push({ encode });
    return this;
  }

  private rrr(op1: number, op2: number, r: number, s: number, t: number): this {
    return this.put(() => fields(0, t, s, r) | (op1 << 16) | (op2 << 20));
  }

  private rri8(r: number, t: number, s: number, immediate: number): this {
    return this.put(() => fields(2, t, s, r) | ((immediate & 0xff) << 16));
  }

  private branchZero(m: number, s: number, label: Label): this {
    return this.put((pc) => {
      const offset = this.address(label) - pc - 4;
      if (offset < -2048 || offset > 2047) throw new Error(`"${label}" is too far`);
      return fields(6, (m << 2) | 1, s, 0) | ((offset & 0xfff) << 12);
    });
  }

  private branch(r: number, s: number, t: number, label: Label): this {
    return this.put((pc) => {
      const offset = this.address(label) - pc - 4;
      if (offset < -128 || offset > 127) throw new Error(`"${label}" is too far`);
      return fields(7, t, s, r) | ((offset & 0xff) << 16);
    });
  }
}

const fields = (op0: number, t: number, s: number, r: number): number => op0 | (t << 4) | (s << 8) | (r << 12);

/** A program as a boot image: a sector 0 with checksum and filler, as the ROM starts it. */
export function assemble(write: (assembler: Assembler) => void, origin = 0x4010f000): Uint8Array {
  const assembler = new Assembler();
  write(assembler);
  const { entry, segments } = assembler.finish(origin);
  const sector = new Uint8Array(4096).fill(0xaa);
  sector.set(encodeImage({ mode: 'dio', flashSize: 0x400000, freqMHz: 40, entry, segments }));
  return sector;
}
