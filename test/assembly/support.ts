/** What the kernels' tests share: both implementations, bytes from a seed, and a bare instance with room to work in. */
import { instantiateKernels, loadKernels } from '../../assembly/host/load.ts';
import { referenceKernels } from '../../assembly/host/reference.ts';

/** For `describe.each`: what holds for the kernels holds for their reference. */
export const implementations = [
  ['WASM', loadKernels],
  ['TypeScript', referenceKernels],
] as const;

/** Bytes without structure, the same in every run. */
export function noise(length: number, seed = 1): Uint8Array {
  let state = seed >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Well clear of the fixed regions, so that kernels can be pointed at any address from here on. */
export const ROOM = 0x80000;

/** A bare instance with `bytes` of room at {@link ROOM}. */
export function bareInstance(bytes: number) {
  const instance = instantiateKernels();
  instance.reserve(ROOM + bytes);
  return instance;
}
