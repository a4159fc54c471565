/**
 * The executed engine against the model: a bootloader of our own that does with raw images what eboot does. The same
 * comparison with real bootloaders: test/core/native-eboot.test.ts.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { referenceKernels } from '../../../assembly/host/reference.ts';
import { type BootOnceOptions, bootOnce, type Cut } from '../../../eboot/boot-once.ts';
import { ACTION_COPY_RAW, ACTION_LOAD_APP, encodeCommand } from '../../../eboot/command.ts';
import { type BootTrace, firstDifference } from '../../support/boot-difference.ts';
import { goldenTraces, play, sha256, wantedResult } from '../../support/golden-eboot.ts';
import { miniEboot } from '../../support/mini-eboot.ts';

const { crc32 } = referenceKernels();
const loader = miniEboot();
const SECTOR = 4096;
const CHIP = 0x40000;

/** Those that unpack, or that show what eboot's own stack held, are beyond it. */
const RAW = goldenTraces.filter(({ name }) => /^(raw|cmd|boot-(bad|valid|zero|empty))/.test(name));

test('most raw golden traces are among those it is measured by', () => expect(RAW.length).toBeGreaterThan(15));

test.each(RAW.map((trace) => [trace.name, trace] as const))('%s as recorded from the real one', async (_, trace) => {
  const runs = await play(trace, { engine: 'native', loader });
  for (const [index, { result, flash }] of runs.entries()) {
    expect(result).toEqual(wantedResult(trace.runs[index]!));
    const known = flash.slice();
    for (const [address, length] of trace.runs[index]!.final.indeterminate) known.fill(0, address, address + length);
    expect(sha256(known)).toBe(trace.runs[index]!.final.flashSha256);
  }
});

interface Start {
  readonly seed: number;
  readonly command: { action: number; args: readonly number[] } | undefined;
  readonly damage: number;
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
const start: fc.Arbitrary<Start> = fc.record({
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

async function boots({ seed, command, damage, cuts }: Start, options: Partial<BootOnceOptions>): Promise<BootTrace[]> {
  const flash = randomFlash(seed);
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

test('invariant: executed and restated, every start does the same operations and leaves the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(start, async (given) => {
      const model = await boots(given, { engine: 'model', core: 'master' });
      const native = await boots(given, { engine: 'native', loader });
      for (const [index, trace] of native.entries()) {
        expect(firstDifference(model[index]!, trace), `start ${index}`).toBeUndefined();
      }
    }),
    { numRuns: 120 },
  );
});

test('a difference is reported by its first operation', async () => {
  const given: Start = {
    seed: 1,
    command: { action: ACTION_COPY_RAW, args: [0, 0, 0x2000] },
    damage: 0,
    cuts: [],
  };
  const [model] = await boots(given, { engine: 'model', core: '2.7.4' });
  const [native] = await boots(given, { engine: 'native', loader });
  expect(firstDifference(model!, native!)).toBe('operation 0: model ["erase",0,4096], native ["erase",4096,4096]');
});
