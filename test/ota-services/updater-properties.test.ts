/** What holds for every image, every way to cut it, and every order of calls. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FlashFaults } from '../../flash/nor-flash.ts';
import type { SdkCall } from '../../flash/sdk-flash.ts';
import { TimedStream } from '../../ota-services/stream.ts';
import { U_FLASH, U_FS } from '../../ota-services/updater.ts';
import {
  concat,
  cut,
  erases,
  firstDifference,
  MIB,
  makeRig,
  md5Hex,
  patternBytes,
  type Rig,
  ScriptedSource,
  sketchBytes,
  takeLog,
} from '../support/updater.ts';
import { type Kind, MODEL_LAYOUT, type Op, type Seen, UpdaterModel } from '../support/updater-model.ts';

/** Each test takes a second or so; this is only for a machine with much else to do. */
const BUSY_MACHINE_MS = 30_000;
const FS_START = MODEL_LAYOUT.fsStart;
const DEVICE_MODE = 2;

interface Upload {
  image: Uint8Array;
  isFs: boolean;
  /** Bytes of the Updater's buffer. */
  buffer: 4096 | 256;
}

/** Image headers that the device accepts; a file system may begin with anything. */
const header = fc.oneof(
  fc.tuple(fc.constant(0xe9), fc.nat(255), fc.nat(3), fc.nat(0x2f)),
  fc.tuple(fc.constant(0x1f), fc.constant(0x8b), fc.nat(255), fc.nat(255)),
);
const upload: fc.Arbitrary<Upload> = fc
  .record({
    size: fc.oneof(
      fc.integer({ min: 4, max: 20000 }),
      fc.constantFrom(4, 255, 256, 257, 4095, 4096, 4097, 8192, 12288),
    ),
    header,
    isFs: fc.boolean(),
    buffer: fc.constantFrom<(4096 | 256)[]>(4096, 256),
  })
  .map(({ size, header, isFs, buffer }) => {
    const image = patternBytes(size);
    image.set(header);
    return { image, isFs, buffer };
  });
const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 6000 }), fc.constantFrom(1, 256, 1460, 4096)), {
  maxLength: 30,
});

/** A way to hand over one piece. */
type Way = 'write' | 'writeNow' | 'writeFrom';
const ways = fc.array(fc.constantFrom<Way[]>('write', 'writeNow', 'writeFrom'), { minLength: 1 });

async function begun({ image, isFs, buffer }: Upload): Promise<Rig> {
  const rig = makeRig({ layout: MODEL_LAYOUT.name, sketchSize: MODEL_LAYOUT.sketchEnd });
  rig.system.heap = buffer === 4096 ? 40_000 : 8000;
  expect(await rig.update.begin(image.length, isFs ? U_FS : U_FLASH)).toBe(true);
  rig.update.setMD5(md5Hex(image));
  rig.calls.length = 0;
  return rig;
}

/** Ends the update and checks everything that must not depend on how the data came. */
async function expectInstalled(rig: Rig, { image, isFs, buffer }: Upload): Promise<void> {
  const size = image.length;
  const start = isFs ? FS_START : FS_START - Math.ceil(size / 4096) * 4096;
  expect(rig.update.progress()).toBe(size);
  expect(rig.calls).toEqual(sdkCalls(start, size, buffer, !isFs && image[0] !== 0x1f));
  expect(await rig.update.end()).toBe(true); // the MD5 of the data as received
  const staged = image.slice();
  if (!isFs && image[0] === 0xe9) staged[2] = DEVICE_MODE;
  expect(firstDifference(rig.chip.peek(start, size), staged)).toBe(-1);
  const padding = rig.chip.peek(start + size, -size & 4095);
  expect(padding.every((byte) => byte === 0xff)).toBe(true);
  expect(rig.commands).toEqual(isFs ? [] : [{ source: start, destination: 0, size }]);
}

/** What chapter 01 §2.3 says the SDK sees, flush by flush. */
function sdkCalls(start: number, size: number, buffer: number, looksAtMode: boolean): SdkCall[] {
  const calls: SdkCall[] = [];
  for (let done = 0; done < size; done += buffer) {
    const address = start + done;
    const length = Math.min(buffer, size - done);
    if (address % 4096 === 0) calls.push(['erase', address, 4096]);
    if (done === 0 && looksAtMode) calls.push(['read', 0, 4]);
    if (length % 4 === 0) {
      calls.push(...alignedWrites(address, length));
      continue;
    }
    for (let piece = 0; piece < length; piece += 256) {
      const bytes = Math.min(256, length - piece);
      const words = Math.ceil(bytes / 4) * 4;
      if (words !== bytes) calls.push(['read', address + piece + words - 4, 4]);
      calls.push(...alignedWrites(address + piece, words));
    }
  }
  return calls;
}

/** From a page start: whole pages, then the rest, which may be nothing; a range that ends inside its first page is one write. */
function alignedWrites(address: number, length: number): SdkCall[] {
  const pages = Array.from({ length: Math.floor(length / 256) }, (_, i): SdkCall => ['write', address + i * 256, 256]);
  return [...pages, ['write', address + pages.length * 256, length % 256]];
}

describe('invariant: how an image is cut does not matter', () => {
  test(
    'write, writeNow and writeFrom, mixed',
    async () => {
      await fc.assert(
        fc.asyncProperty(upload, cuts, ways, async (sent, lengths, handing) => {
          const rig = await begun(sent);
          let accepted = 0;
          for (const [i, piece] of cut(sent.image, lengths).entries()) {
            const way = handing[i % handing.length];
            const count =
              way === 'writeFrom'
                ? await rig.update.writeFrom(new ScriptedSource(rig.clock, [{ bytes: piece }]))
                : ((way === 'writeNow' ? rig.update.writeNow(piece) : undefined) ?? (await rig.update.write(piece)));
            expect(count).toBe(piece.length);
            accepted += count;
          }
          expect(accepted).toBe(sent.image.length);
          await expectInstalled(rig, sent);
        }),
        { numRuns: 60 },
      );
    },
    BUSY_MACHINE_MS,
  );

  test(
    'writeStream, pieces up to half a second apart',
    async () => {
      const gaps = fc.array(fc.nat(500), { minLength: 1 });
      await fc.assert(
        fc.asyncProperty(upload, cuts, gaps, async (sent, lengths, delays) => {
          const rig = await begun(sent);
          let at = 0;
          const script = cut(sent.image, lengths).map((bytes, i) => {
            const piece = { at, bytes };
            at += delays[i % delays.length]!;
            return piece;
          });
          const stream = new TimedStream(new ScriptedSource(rig.clock, script), rig.clock);
          takeLog(rig);
          expect(await rig.update.writeStream(stream)).toBe(sent.image.length);
          const done = takeLog(rig)
            .split(' ')
            .map((entry) => Number(/^P\((\d+),/.exec(entry)?.[1]));
          expect(done).toEqual([...done].sort((a, b) => a - b));
          expect([done[0], done.at(-1)]).toEqual([0, sent.image.length]);
          await expectInstalled(rig, sent);
        }),
        { numRuns: 60 },
      );
    },
    BUSY_MACHINE_MS,
  );

  test('each sector of a sketch is erased once, in rising order, and takes 17 SDK writes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), async (sectors) => {
        const image = concat(Uint8Array.of(0xe9, 1, 2, 0x20), patternBytes(sectors * 4096 - 4));
        const sent: Upload = { image, isFs: false, buffer: 4096 };
        const rig = await begun(sent);
        await rig.update.write(image);
        const start = FS_START - sectors * 4096;
        expect(erases(rig)).toEqual(Array.from({ length: sectors }, (_, i) => start + i * 4096));
        for (let sector = 0; sector < sectors; sector++) {
          const from = start + sector * 4096;
          const at = rig.calls.findIndex(([kind, address]) => kind === 'erase' && address === from);
          const upTo = rig.calls.findIndex(([kind, address]) => kind === 'erase' && address === from + 4096);
          const writes = rig.calls.slice(at, upTo < 0 ? undefined : upTo).filter(([kind]) => kind === 'write');
          expect(writes).toHaveLength(17);
          expect(writes.at(-1)).toEqual(['write', from + 4096, 0]);
        }
      }),
    );
  });
});

const beginOp = fc.record({
  do: fc.constant('begin' as const),
  size: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 14000 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(0, 1, 4096, 8192, 65536, 65537, 0xeb000 - 0x2000, 0xeb000 - 0x1fff, 0x200000),
    },
  ),
  command: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(U_FLASH, U_FS) },
    { weight: 1, arbitrary: fc.constantFrom(1, 200) },
  ),
  kind: fc.constantFrom<Kind[]>('sketch', 'gzip', 'no-magic', 'too-large-flash'),
  straps: fc.oneof({ weight: 9, arbitrary: fc.constant(3) }, { weight: 1, arbitrary: fc.constant(1) }),
  heap: fc.constantFrom(8192, 8193),
  allocates: fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
});
const dataOp = fc.record({
  do: fc.constantFrom<('write' | 'writeFrom' | 'writeStream')[]>('write', 'writeFrom', 'writeStream'),
  // 'rest' and 'beyond' of what was announced: small numbers alone would hardly ever finish an image.
  length: fc.oneof(fc.nat(5000), fc.constantFrom(0, 256, 4096), fc.constantFrom(-1, -1, -1, -2)),
});
const md5Op = fc.record({
  do: fc.constant('setMD5' as const),
  text: fc.constantFrom<('right' | 'wrong' | 'short')[]>('right', 'right', 'wrong', 'short'),
});
const endOp = fc.record({ do: fc.constant('end' as const), evenIfRemaining: fc.boolean() });
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: beginOp },
  { weight: 8, arbitrary: dataOp },
  { weight: 2, arbitrary: endOp },
  { weight: 2, arbitrary: md5Op },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clearError' as const) }) },
);
/** An update that may well succeed: calls in a random order hardly ever get that far. */
const episode: fc.Arbitrary<Op[]> = fc
  .tuple(beginOp, fc.array(dataOp, { maxLength: 3 }), dataOp, fc.array(md5Op, { maxLength: 1 }), endOp)
  .map(([begin, data, last, md5, end]) => [begin, ...data, { ...last, length: -1 }, ...md5, end]);
const ops = fc
  .array(
    fc.oneof(
      op.map((single): Op[] => [single]),
      episode,
    ),
    { minLength: 1, maxLength: 10 },
  )
  .map((parts) => parts.flat());

/** Plays one operation on a real Updater; data comes from the model, which knows where in the image we are. */
async function play(rig: Rig, op: Op, model: UpdaterModel): Promise<Seen['result']> {
  const { update } = rig;
  switch (op.do) {
    case 'begin':
      rig.system.straps = op.straps;
      rig.system.heap = op.heap;
      rig.system.failAllocationsFrom = op.allocates ? Number.POSITIVE_INFINITY : 0;
      return update.begin(op.size, op.command);
    case 'write':
      return update.write(model.data(op.length));
    case 'writeFrom':
      return update.writeFrom(new ScriptedSource(rig.clock, [{ bytes: model.data(op.length) }]));
    case 'writeStream': {
      const source = new ScriptedSource(rig.clock, [{ bytes: model.data(op.length) }]);
      return update.writeStream(new TimedStream(source, rig.clock, 0), 0);
    }
    case 'setMD5':
      return update.setMD5(op.text === 'right' ? model.md5() : op.text === 'wrong' ? '?'.repeat(32) : 'abc');
    case 'end':
      return update.end(op.evenIfRemaining);
    case 'clearError':
      update.clearError();
      return undefined;
  }
}

function see(rig: Rig, result: Seen['result']): Seen {
  const { update } = rig;
  return {
    result,
    error: update.getError(),
    size: update.size(),
    progress: update.progress(),
    remaining: update.remaining(),
    finished: update.isFinished(),
    heldBytes: rig.system.held,
    log: takeLog(rig),
    commands: rig.commands.map(({ source, destination, size }) => [source, destination, size]),
  };
}

/** Keeps the few large images from taking all the time; they are never finished then. */
const LARGEST_PIECE = 20_000;

/** −1: what is still missing, −2: a byte more. A stream never brings a surplus (that is Q19, tested alone). */
function settle(op: Op, outstanding: number): Op {
  if (op.do !== 'write' && op.do !== 'writeFrom' && op.do !== 'writeStream') return op;
  const length = op.length === -1 ? outstanding : op.length === -2 ? outstanding + 1 : op.length;
  return { ...op, length: Math.min(length, op.do === 'writeStream' ? outstanding : length, LARGEST_PIECE) };
}

describe('invariant: pieces that have come together', () => {
  /** Everything that can be told apart afterwards. */
  const trace = (rig: Rig) => ({ ...see(rig, undefined), calls: rig.calls, cells: md5Hex(rig.chip.peek(0, MIB)) });

  test(
    'leave what they leave one by one, with failing flash and past the announced size too',
    async () => {
      let failures = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.record({
            size: fc.integer({ min: 4, max: 40_000 }),
            surplus: fc.constantFrom(0, 0, 1, 3000, 9000),
            pieceBytes: fc.constantFrom(256, 1000, 2048, 4096, 5000),
            lead: fc.nat(5000),
            failing: fc.constantFrom(-1, -1, 0, 3, 40),
            md5: fc.boolean(),
          }),
          async ({ size, surplus, pieceBytes, lead, failing, md5 }) => {
            const sent = sketchBytes(size + surplus);
            const first = sent.subarray(0, Math.min(lead, sent.length));
            const pieces = Math.floor((sent.length - first.length) / pieceBytes);
            const together = sent.subarray(first.length, first.length + pieces * pieceBytes);
            const last = sent.subarray(first.length + together.length);
            const hand = async (asOne: boolean) => {
              const rig = makeRig({ layout: MODEL_LAYOUT.name, sketchSize: MODEL_LAYOUT.sketchEnd });
              let operations = 0;
              if (failing >= 0)
                rig.chip.faults = {
                  decide: ({ kind }) => (kind !== 'read' && operations++ === failing ? { do: 'fail' } : undefined),
                };
              await rig.update.begin(size);
              if (md5) rig.update.setMD5(md5Hex(sent));
              const parts = asOne ? [] : cut(together, Array(pieces).fill(pieceBytes));
              let whole = (await rig.update.write(first)) === first.length;
              if (asOne) whole &&= await rig.update.writePieces(together, pieceBytes);
              else for (const part of parts) whole &&= (await rig.update.write(part)) === part.length;
              if (whole) whole = (await rig.update.write(last)) === last.length;
              const before = trace(rig);
              if (!whole) failures++;
              return { whole, before, ended: await rig.update.end(), after: trace(rig) };
            };
            expect(await hand(true)).toEqual(await hand(false));
          },
        ),
        { numRuns: 60 },
      );
      expect(failures).toBeGreaterThan(0);
    },
    BUSY_MACHINE_MS,
  );
});

describe('invariant: any sequence of calls', () => {
  test(
    'gives what the counting model says',
    async () => {
      await fc.assert(
        fc.asyncProperty(ops, async (sequence) => {
          const rig = makeRig({ layout: MODEL_LAYOUT.name, sketchSize: MODEL_LAYOUT.sketchEnd });
          const model = new UpdaterModel();
          for (const raw of sequence) {
            const op = settle(raw, model.outstanding());
            const playing = play(rig, op, model); // takes its data before the model moves on
            const expected = model.step(op);
            expect(see(rig, await playing), JSON.stringify(op)).toEqual(expected);
          }
        }),
        { numRuns: 150 },
      );
    },
    BUSY_MACHINE_MS,
  );

  test('and such sequences get somewhere', () => {
    const reached = new Set<string>();
    for (const sequence of fc.sample(ops, { numRuns: 1000, seed: 1 })) {
      const model = new UpdaterModel();
      for (const raw of sequence) {
        const op = settle(raw, model.outstanding());
        const { result, error, log } = model.step(op);
        if (log.includes('X(')) reached.add(`${op.do} ${error}`);
        else if (op.do === 'end') reached.add(`end ${result}`);
      }
    }
    const goals = [
      'begin 4',
      'begin 5',
      'begin 11',
      'begin 14',
      'begin 15',
      'begin 16',
      'write 1',
      'write 4',
      'writeFrom 1',
    ];
    goals.push('writeStream 6', 'writeStream 10', 'end 7', 'end 9', 'end 10', 'end 13', 'end true', 'end false');
    expect(goals.filter((goal) => !reached.has(goal))).toEqual([]);
  });

  test(
    'on failing flash never throws, never runs with an error, arms nothing after one (but for Q4)',
    async () => {
      const faulty = fc.record({
        kind: fc.constantFrom<('erase' | 'program' | 'read')[]>('erase', 'program', 'read'),
        every: fc.integer({ min: 1, max: 40 }),
      });
      await fc.assert(
        fc.asyncProperty(ops, faulty, async (sequence, { kind, every }) => {
          let count = 0;
          const faults: FlashFaults = {
            decide: (operation) => (operation.kind === kind && ++count % every === 0 ? { do: 'fail' } : undefined),
          };
          const rig = makeRig({ layout: MODEL_LAYOUT.name, sketchSize: MODEL_LAYOUT.sketchEnd });
          rig.chip.faults = faults;
          const model = new UpdaterModel();
          for (const raw of sequence) {
            const { update } = rig;
            const op = settle(raw, update.remaining());
            const before = { commands: rig.commands.length, error: update.getError(), events: rig.events.length };
            const result = await play(rig, op, model);
            const errors = rig.events.slice(before.events).filter(({ type }) => type === 'update.error').length;
            const log = takeLog(rig);
            if (op.do === 'begin') model.step({ ...op, straps: 3, allocates: true });

            expect(update.isRunning() && update.hasError()).toBe(false);
            expect(log.match(/X/g)?.length ?? 0).toBe(errors);
            expect(/X\(\d+\)(?! E)/.test(log)).toBe(false);
            if (!update.isRunning()) {
              expect([update.size(), update.progress(), update.remaining(), rig.system.held]).toEqual([0, 0, 0, 0]);
            }
            const armed = rig.commands.slice(before.commands);
            expect(armed.length).toBe(op.do === 'end' && result === true && armed.length > 0 ? 1 : 0);
            if (errors > 0 && armed.length > 0) {
              expect([op, armed]).toEqual([
                { do: 'end', evenIfRemaining: true },
                [{ source: 0, destination: 0, size: 0 }],
              ]);
            }
          }
        }),
        { numRuns: 120 },
      );
    },
    BUSY_MACHINE_MS,
  );
});
