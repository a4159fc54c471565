/** The kernel's MD5 as the ports want it, for one life of the device. */
import type { Kernels, Md5Stream } from '../assembly/host/kernels.ts';
import type { Md5 } from '../ota-services/ports.ts';
import type { Life } from './life.ts';

/** MD5 computations that one life may have open. A sketch has one or two. */
const MD5_STREAMS = 16;

/**
 * A stream's slot goes back with its digest; a computation that nobody finished (an update that was broken off) gives it
 * back when the life ends, or when another {@link MD5_STREAMS} were begun.
 */
export function md5Source(kernels: Kernels, life: Life): () => Md5 {
  const open: Md5Stream[] = [];
  life.onEnd(() => {
    for (const stream of open) stream.free();
  });
  return () => {
    if (open.length === MD5_STREAMS) open.shift()!.free();
    const stream = kernels.md5();
    open.push(stream);
    return {
      update(data) {
        if (!open.includes(stream)) throw new Error(`more than ${MD5_STREAMS} MD5 computations at once`);
        stream.update(data);
      },
      digest() {
        if (!open.includes(stream)) throw new Error('this MD5 computation is over');
        const digest = stream.digest();
        open.splice(open.indexOf(stream), 1);
        stream.free();
        return digest;
      },
    };
  };
}
