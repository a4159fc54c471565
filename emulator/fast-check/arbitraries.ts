/** Arbitraries: images, layouts, the pieces in which a peer sends, faults and lists of them. All shrink to the smallest. */
import fc from 'fast-check';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import { layouts as allLayouts } from '../../flash/layouts.ts';
import { CHIP_KINDS, type ChipKind, type Fault, NET_KINDS, type NetKind, POINTS } from '../faults/spec.ts';
import type { UpdatePath, UpdateTarget } from '../sweep/drive/index.ts';
import { type Firmware, firmwareImage } from './images.ts';

/** The smallest image that has room for everything an image has, and one of some sectors more. */
const SMALLEST_BYTES = 8192;
const SMALLEST_FS_BYTES = 5000;
const DEFAULT_LARGEST_BYTES = 40_960;
const TCP_SEGMENT_BYTES = 1460;

export interface ImageConstraints {
  /** By which path the firmware can be updated again (`arduino-ota`). */
  readonly path?: UpdatePath;
  readonly target?: UpdateTarget;
  readonly layout?: string;
  /** Bytes (8192, 40,960). */
  readonly minSize?: number;
  readonly maxSize?: number;
}

/** Bootable firmware with a manifest: `{ version, bytes }`. Shrinks to the lowest version and the smallest size. */
export function images(constraints: ImageConstraints = {}): fc.Arbitrary<Firmware> {
  const { path = 'arduino-ota', target = 'sketch', layout = '1m64' } = constraints;
  const { minSize = SMALLEST_BYTES, maxSize = DEFAULT_LARGEST_BYTES } = constraints;
  return fc
    .record({ major: fc.integer({ min: 2, max: 9 }), size: fc.integer({ min: minSize, max: maxSize }) })
    .map(({ major, size }) => firmwareImage({ path, target, layout, version: `${major}.0`, size }));
}

/**
 * File system images. They shrink to 5000 bytes: of smaller ones real firmware refuses some (the web updater wants more than
 * its buffer, a sector; BasicOTA's progress callback divides by a hundredth of the size).
 */
export function fileSystems({
  minSize = SMALLEST_FS_BYTES,
  maxSize = 5 * SECTOR_BYTES,
}: {
  readonly minSize?: number;
  readonly maxSize?: number;
} = {}): fc.Arbitrary<Uint8Array> {
  return fc
    .record({ size: fc.integer({ min: minSize, max: maxSize }), seed: fc.nat(255) })
    .map(({ size, seed }) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 0xff));
}

/** Names of flash layouts. @param maxChipBytes largest chip (no limit) */
export function layoutNames({ maxChipBytes = Number.POSITIVE_INFINITY } = {}): fc.Arbitrary<string> {
  const names = allLayouts.filter(({ chipSize }) => chipSize <= maxChipBytes).map(({ name }) => name);
  return fc.constantFrom(...names);
}

/** Sizes in which a peer hands its bytes to TCP, as `driveUpdate` takes them. Shrinks to whole segments. */
export function chunkings(): fc.Arbitrary<number | readonly number[]> {
  const size = fc.integer({ min: 1, max: 2 * TCP_SEGMENT_BYTES }).map((n) => (n === 1 ? TCP_SEGMENT_BYTES : n));
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(TCP_SEGMENT_BYTES) },
    { weight: 2, arbitrary: size.filter((n) => n > 200) },
    {
      weight: 1,
      arbitrary: fc.array(
        size.filter((n) => n > 50),
        { minLength: 1, maxLength: 4 },
      ),
    },
  );
}

export interface FaultConstraints {
  /** Which families (`power`). */
  readonly families?: readonly ('power' | 'chip' | 'net')[];
  /** Largest operation (170, the copy of ten sectors), and byte of a `net-*` fault (30,000). */
  readonly maxOp?: number;
  readonly maxByte?: number;
}

const FLASH_PHASES = ['staging', 'staging', 'copy', 'copy', 'fs', 'serial', 'any'] as const;
const COMMAND_WORDS = 32;

/** One fault that can be. Shrinks to a power cut before operation 0. */
export function faults(constraints: FaultConstraints = {}): fc.Arbitrary<Fault> {
  const { families = ['power'], maxOp = 170, maxByte = 30_000 } = constraints;
  const op = fc.nat(maxOp);
  const place = fc.oneof(
    { weight: 6, arbitrary: fc.record({ phase: fc.constantFrom(...FLASH_PHASES), op }) },
    {
      weight: 2,
      arbitrary: fc.record({ phase: fc.constant('command' as const), op: fc.nat(COMMAND_WORDS - 1) }),
    },
    { weight: 1, arbitrary: fc.record({ phase: fc.constant('clear' as const), op: fc.nat(1) }) },
  );
  const cut: fc.Arbitrary<Fault> = fc
    .record({ at: place, point: fc.constantFrom(...POINTS), share: fc.option(fc.integer({ min: 0, max: 100 })) })
    .map(({ at, point, share }) => ({
      kind: 'power-cut',
      at: { ...at, point, ...(point === 'inside' && share !== null ? { fraction: share / 100 } : {}) },
    }));
  const reset: fc.Arbitrary<Fault> = fc
    .record({
      kind: fc.constantFrom('reset' as const, 'brown-out' as const),
      at: place,
      point: fc.constantFrom('before' as const, 'after' as const),
    })
    .map(({ kind, at, point }) => ({ kind, at: { ...at, point } }));
  const chip: fc.Arbitrary<Fault> = fc.record({
    kind: fc.constantFrom(...(CHIP_KINDS as readonly ChipKind[])),
    at: fc.record({ phase: fc.constantFrom('staging' as const, 'fs' as const, 'copy' as const), op }),
  });
  const net: fc.Arbitrary<Fault> = fc.oneof(
    fc.record({
      kind: fc.constantFrom(...(NET_KINDS as readonly NetKind[])),
      at: fc.record({ phase: fc.constantFrom('tcp' as const, 'http' as const), op: fc.nat(maxByte) }),
    }),
    fc.record({
      kind: fc.constantFrom('net-loss' as const, 'net-delay' as const, 'net-reorder' as const),
      at: fc.record({ phase: fc.constant('udp' as const), op: fc.nat(100) }),
    }),
  );
  const byFamily = { power: [cut, reset], chip: [chip], net: [net] };
  return fc.oneof(...families.flatMap((family) => byFamily[family]));
}

/** Faults in time order, as `device.faults.arm` takes them. Shrinks to fewer, and to smaller ones. */
export function faultSchedules(
  constraints: FaultConstraints & { readonly maxLength?: number } = {},
): fc.Arbitrary<readonly Fault[]> {
  // fast-check shortens an array from its front, but it is the last faults that may not matter.
  return fc
    .array(faults(constraints), { minLength: 1, maxLength: constraints.maxLength ?? 3 })
    .map((list) => list.toReversed());
}
