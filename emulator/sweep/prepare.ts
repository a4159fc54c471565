/** From options to a sweep: images read or built, everything checked, and the definition that names it. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { boardById } from '../../flash/boards.ts';
import { isSyntheticEboot } from '../../flash/eboot-sector.ts';
import { type BuildOptions, buildImage, defaultImageSize } from '../../flash/image-build.ts';
import type { FlashLayout } from '../../flash/layouts.ts';
import type { Alterations } from '../alterations.ts';
import { boardSetup } from '../board-setup.ts';
import { POINTS, POWER_KINDS, type Point, type PowerKind } from '../faults/spec.ts';
import { DeviceOptionError } from '../options.ts';
import { sketchFor, UPDATE_PATHS, type UpdatePath, type UpdateTarget } from './drive/index.ts';
import { SweepInputError } from './errors.ts';
import { buildFileSystem } from './file-system.ts';
import { type Plan, pointsOf } from './plan.ts';
import type { ImageReference, SweepDefinition } from './report.ts';
import type { Subject } from './subject.ts';

/** An image: the path of a file, or its bytes. */
export type ImageInput = string | Uint8Array;

export interface SweepOptions {
  /** By which service the update comes (`arduino-ota`). */
  readonly path?: UpdatePath | undefined;
  readonly target?: UpdateTarget | undefined;
  /** The image before the update: firmware, or with target `fs` a file system. Without it one is built. */
  readonly from?: ImageInput | undefined;
  /** The file that is sent: plain, gzip or signed. Without it one is built. */
  readonly to?: ImageInput | undefined;
  /** With target `fs`: the firmware that takes it. Without it one is built. */
  readonly firmware?: ImageInput | undefined;
  readonly board?: string | undefined;
  readonly layout?: string | undefined;
  /** Era of the core, of the images that are built and of the device (`master`). */
  readonly core?: string | undefined;
  readonly atomicFs?: boolean | undefined;
  /** PEM: the firmware verifies signatures. */
  readonly publicKey?: string | undefined;
  /** `power-cut` (default), `reset`, `brown-out`, or several with commas; at depth 2 `FIRST+SECOND`, SECOND by default `power-cut`. */
  readonly fault?: string | undefined;
  readonly points?: readonly Point[] | undefined;
  readonly depth?: 1 | 2 | undefined;
  readonly retry?: boolean | undefined;
  /** So many random schedules of up to three faults, instead of all points. */
  readonly samples?: number | undefined;
  readonly seed?: number | undefined;
  readonly engine?: 'model' | 'native' | 'both' | undefined;
  /** Rules, such as `phase=staging => old`. */
  readonly expect?: readonly string[] | undefined;
  /** Threads that work on it (at depth 1 one, else as many as the machine has). */
  readonly jobs?: number | undefined;
  /** A part of the sweep, from 1 on: `{ index: 1, count: 4 }`. */
  readonly shard?: { readonly index: number; readonly count: number } | undefined;
  /** Parts of firmware and bootloader replaced: for planted defects. */
  readonly alter?: Alterations | undefined;
  readonly onProgress?: ((progress: SweepProgress) => void) | undefined;
}

export interface SweepProgress {
  /** Share that is done, 0 … 1. */
  readonly done: number;
  readonly points: number;
  readonly trials: number;
  readonly seconds: number;
}

export interface Prepared {
  readonly definition: SweepDefinition;
  readonly subject: Subject;
  readonly plan: Plan;
  /** JEDEC id of the chip. */
  readonly flashId: number;
  readonly files: Readonly<Record<string, string>>;
}

const OLD_VERSION = '1.0';
const NEW_VERSION = '2.0';
const MOST_SAMPLES = 10_000_000;

/** @throws SweepInputError (or DeviceOptionError) that says which option is wrong */
export function prepare(options: SweepOptions): Prepared {
  const { path = 'arduino-ota', target = 'sketch', depth = 1, engine = 'model', retry = false, core, board } = options;
  mustBe('--path', path, UPDATE_PATHS);
  mustBe('--target', target, ['sketch', 'fs']);
  mustBe('--depth', depth, [1, 2]);
  mustBe('--engine', engine, ['model', 'native', 'both']);
  const seed = whole('--seed', options.seed ?? 1, 0, 0xffffffff);
  const samples = options.samples === undefined ? undefined : whole('--samples', options.samples, 1, MOST_SAMPLES);
  const faults = parseFaultKinds(options.fault ?? 'power-cut', depth);
  const points = checkPoints(options.points ?? POINTS, [...faults.first, ...faults.second]);
  const layout = options.layout ?? boardOf(board).defaultLayout;
  const setup = boardSetup({ board, layout, core });
  const images = new Images({ path, target, layout, core, seed, map: setup.layout });
  const from = images.get('from', options.from);
  const to = images.get('to', options.to);
  const firmware = target === 'fs' ? images.get('firmware', options.firmware) : undefined;
  if (target === 'sketch' && options.firmware !== undefined) {
    throw new SweepInputError('--firmware goes with --target fs; the firmware before a sketch update is --from');
  }
  if (from.reference.sha256 === to.reference.sha256) {
    throw new SweepInputError('--from and --to are the same image: old and new could not be told apart');
  }
  const flashed = firmware ?? from;
  if (engine !== 'model' && isSyntheticEboot(flashed.bytes)) {
    throw new SweepInputError(
      `--engine ${engine}: the boot sector of an image that was built here holds no code to execute; ` +
        'give images of real firmware with --from and --to',
    );
  }
  const definition: SweepDefinition = {
    path,
    target,
    layout,
    ...(board === undefined ? {} : { board }),
    ...(core === undefined ? {} : { core }),
    atomicFs: options.atomicFs ?? false,
    engine,
    faults: faults.first,
    ...(depth === 2 ? { secondFaults: faults.second } : {}),
    points,
    depth,
    retry,
    ...(samples === undefined ? {} : { samples }),
    seed,
    ...(firmware ? { firmware: firmware.reference } : {}),
    from: from.reference,
    to: to.reference,
    ...(options.publicKey === undefined ? {} : { publicKey: options.publicKey }),
    ...(options.alter === undefined ? {} : { altered: true as const }),
  };
  const subject: Subject = {
    path,
    target,
    firmware: flashed.bytes,
    fileSystem: target === 'fs' ? from.bytes : undefined,
    update: to.bytes,
    board,
    layout,
    seed,
    core,
    atomicFs: definition.atomicFs,
    publicKey: options.publicKey,
    bootloader: engine === 'native' ? 'native' : 'model',
    device: options.alter === undefined ? undefined : { alter: options.alter },
  };
  const plan: Plan = { kinds: faults.first, points, depth, secondKinds: faults.second, retry };
  return { definition, subject, plan, flashId: setup.part.jedecId, files: images.files };
}

/** The first 12 hex digits of the SHA-256 of the definition. */
export const sweepName = (definition: SweepDefinition): string =>
  createHash('sha256').update(JSON.stringify(definition)).digest('hex').slice(0, 12);

interface Image {
  readonly bytes: Uint8Array;
  readonly reference: ImageReference;
}

/** Reads images, or builds those that were not given. */
class Images {
  readonly files: Record<string, string> = {};

  constructor(
    private readonly about: {
      readonly path: UpdatePath;
      readonly target: UpdateTarget;
      readonly layout: string;
      readonly core: string | undefined;
      readonly seed: number;
      readonly map: FlashLayout;
    },
  ) {}

  get(role: 'from' | 'to' | 'firmware', input: ImageInput | undefined): Image {
    if (input === undefined) return this.build(role);
    if (typeof input === 'string') this.files[role] = input;
    const bytes = typeof input === 'string' ? read(role, input) : input;
    if (bytes.length === 0) throw new SweepInputError(`--${role}: the image is empty`);
    return { bytes, reference: { sha256: sha256(bytes), size: bytes.length } };
  }

  private build(role: 'from' | 'to' | 'firmware'): Image {
    const { path, target, layout, core, seed, map } = this.about;
    if (target === 'fs' && role !== 'firmware') {
      const size = map.fsEnd - map.fsStart;
      if (size === 0) throw new SweepInputError(`--layout ${layout} has no file system to update`);
      const build = { fileSystem: role === 'from' ? seed * 2 : seed * 2 + 1, size };
      const bytes = buildFileSystem(build.fileSystem, size);
      return { bytes, reference: { sha256: sha256(bytes), size, build } };
    }
    const build: BuildOptions = {
      sketch: sketchFor(path, target),
      version: role === 'to' ? NEW_VERSION : OLD_VERSION,
      layout,
      size: defaultImageSize(layout),
      seed,
      ...(core === undefined ? {} : { core }),
    };
    const bytes = buildImage(build);
    return { bytes, reference: { sha256: sha256(bytes), size: bytes.length, build } };
  }
}

/** Makes an image again from what a report says about it; undefined when it says no more than its hash. */
export function rebuild({ build }: ImageReference): Uint8Array | undefined {
  if (!build) return undefined;
  return 'fileSystem' in build ? buildFileSystem(build.fileSystem, build.size) : buildImage(build);
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function read(role: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new SweepInputError(
      `--${role} ${path}: ${code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`}`,
    );
  }
}

function boardOf(board: string | undefined): ReturnType<typeof boardById> {
  try {
    return boardById(board ?? 'nodemcuv2');
  } catch (error) {
    if (error instanceof RangeError) throw new DeviceOptionError(error.message);
    throw error;
  }
}

function mustBe<T>(option: string, value: T, allowed: readonly T[]): void {
  if (!allowed.includes(value)) throw new SweepInputError(`${option} ${value}: use ${allowed.join(', ')}`);
}

function whole(option: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new SweepInputError(`${option} ${value}: wants a whole number from ${low} to ${high}`);
}

/** `power-cut`, `reset,brown-out`, `reset+power-cut`. */
function parseFaultKinds(text: string, depth: 1 | 2): { first: PowerKind[]; second: PowerKind[] } {
  const sides = text.split('+');
  if (sides.length > 2) throw new SweepInputError(`--fault ${text}: at most two faults in a row`);
  if (sides.length === 2 && depth === 1) {
    throw new SweepInputError(`--fault ${text}: a second fault goes with --depth 2`);
  }
  const [first, second] = sides.map((side) =>
    side.split(',').map((kind) => {
      const known = POWER_KINDS.find((candidate) => candidate === kind.trim());
      if (!known) throw new SweepInputError(`--fault ${text}: "${kind}" is none of ${POWER_KINDS.join(', ')}`);
      return known;
    }),
  );
  return { first: [...new Set(first)], second: depth === 1 ? [] : [...new Set(second ?? ['power-cut' as const])] };
}

function checkPoints(points: readonly Point[], kinds: readonly PowerKind[]): Point[] {
  const unknown = points.find((point) => !POINTS.includes(point));
  if (unknown !== undefined) throw new SweepInputError(`--points ${unknown}: use ${POINTS.join(', ')}`);
  if (points.length === 0) throw new SweepInputError(`--points: names none; use ${POINTS.join(', ')}`);
  for (const kind of kinds) {
    if (pointsOf(kind, points).length > 0) continue;
    throw new SweepInputError(
      `--points ${points.join(',')}: a ${kind} has no inside, as the operation in flight completes; use before, after`,
    );
  }
  return POINTS.filter((point) => points.includes(point));
}
