/** Random chips, commands and power cuts, started on either engine. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { type BootOnceOptions, bootOnce, type Cut } from '../../eboot/boot-once.ts';
import { ACTION_COPY_RAW, ACTION_LOAD_APP, encodeCommand } from '../../eboot/command.ts';
import type { BootTrace } from './boot-difference.ts';
import { build } from './golden-flash.ts';

const { crc32 } = referenceKernels();
const SECTOR = 4096;
const CHIP = 0x40000;
/** Where packed images lie, and how much they unpack to at most. */
const STAGING = 0x20000;
const PACKED_BYTES = 30_000;

const mix = (seed: number, size: number): Uint8Array => build({ type: 'mix', seed: seed + 1, size: size + 1 });

export interface Start {
  readonly seed: number;
  readonly command: { action: number; args: readonly number[] } | undefined;
  readonly damage: number;
  /** The staging area holds the gzip of something: its seed and size. */
  readonly packed?: { readonly seed: number; readonly size: number };
  readonly cuts: readonly (Cut | undefined)[];
}

const near = fc.oneof(
  fc.nat(CHIP / SECTOR).map((sector) => sector * SECTOR),
  fc.constantFrom(0, 0, 0x3fe000, 0x3ff000, 0x400000, 0xfffff000, 16),
);
const cut: fc.Arbitrary<Cut> = fc.record({
  atOp: fc.nat(8),
  when: fc.constantFrom('before', 'after', 'mid'),
  bytes: fc.nat(SECTOR),
});
/** A chip, a command in RTC memory that may be damaged, and power cuts. Nothing in the chip is gzip unless `packed`. */
export const anyStart: fc.Arbitrary<Start> = fc.record({
  seed: fc.nat(0xffff),
  command: fc.option(
    fc.record({
      action: fc.constantFrom(ACTION_COPY_RAW, ACTION_COPY_RAW, ACTION_COPY_RAW, ACTION_LOAD_APP, 9),
      args: fc.tuple(near, near, fc.oneof(fc.nat(5 * SECTOR), fc.constantFrom(0x80000000, 0x7ffff001))),
    }),
    { nil: undefined },
  ),
  damage: fc.constantFrom(0, 0, 0, 0, 1, 0x1000),
  cuts: fc.array(fc.option(cut, { nil: undefined }), { minLength: 1, maxLength: 3 }),
});

/** The starts of it, the last one without a cut. */
export async function boots(
  { seed, command, damage, cuts, packed }: Start,
  options: Partial<BootOnceOptions>,
): Promise<BootTrace[]> {
  const flash = randomFlash(seed);
  if (packed) flash.set(gzipSync(mix(packed.seed, packed.size)), STAGING);
  const rtcUser = new Uint8Array(512);
  if (command) rtcUser.set(encodeCommand({ ...command, args: command.args }, crc32));
  rtcUser[damage & 0xff]! ^= damage >> 8 || damage;
  const traces: BootTrace[] = [];
  for (const where of [...cuts, undefined]) {
    const result = await bootOnce({ ...options, flash, rtcUser, cut: where, maxSteps: 3e7 });
    traces.push({ result, flash: flash.slice(), rtcUser: rtcUser.slice() });
  }
  return traces;
}

/** Half of the sectors repeat sector 0 or are blank, so that equal and empty sectors occur; an application at 0x1000. */
function randomFlash(seed: number): Uint8Array {
  const flash = new Uint8Array(CHIP).fill(0xff);
  let state = seed + 1;
  const next = (): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state >>> 16;
  };
  for (let at = 0; at < CHIP; at += SECTOR) {
    const kind = next() & 3;
    if (kind === 0 && at > 0) flash.copyWithin(at, 0, SECTOR);
    if (kind === 1) continue;
    for (let i = 0; kind > 1 && i < SECTOR; i += 5) flash[at + i] = next();
    // No gzip.
    flash[at] = 0xe9;
    flash.set([0xe9, next() % 3, 2, 0x40, 0x04, 0, 0x10, 0x40], at);
    // Segments: to DRAM, to IRAM, or to the mapped flash, which is skipped.
    const addresses = [0x3ffec000, 0x40100000 + (next() & 0xff) * 4, 0x40201010];
    for (let segment = 0, to = at + 8; segment < 2; segment++) {
      const view = new DataView(flash.buffer, to, 8);
      view.setUint32(0, addresses[next() % 3]!, true);
      view.setUint32(4, 4 * (next() & 31), true);
      to += 8 + view.getUint32(4, true);
    }
  }
  return flash;
}

/** The same with a gzip image to unpack, whole or torn. */
export const anyPackedStart: fc.Arbitrary<Start> = fc
  .record({ base: anyStart, packed: fc.nat(0xffff), size: fc.nat(PACKED_BYTES), torn: fc.boolean() })
  .map(({ base, packed, size, torn }) => {
    const length = gzipSync(mix(packed, size)).length;
    // ISIZE is read before the end that the command names.
    const staged = torn ? length - (packed % 9) : length;
    const command = { action: ACTION_COPY_RAW, args: [STAGING, 0, staged] };
    return { ...base, command, packed: { seed: packed, size }, damage: 0 };
  });
