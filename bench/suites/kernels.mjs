/** The WASM kernels against what one would use instead. */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import zlib from 'node:zlib';
import { compare } from '../harness.mjs';
import { programWords } from '../rivals/program-words.mjs';

const require = createRequire(import.meta.url);
const KIB = 1024;
const MIB = 1024 * KIB;

export async function* rows(load) {
  const { loadKernels, instantiateKernels } = await load('assembly/host/load.js');
  const twins = await load('assembly/host/reference.js');
  yield* crcRows(loadKernels, twins);
  yield* md5Rows(loadKernels);
  yield* cellRows(instantiateKernels, loadKernels, twins);
  yield* storeRows(loadKernels);
}

/** Bytes that compress badly, the same in every run. */
function noise(length, seed = 1) {
  const bytes = Buffer.allocUnsafeSlow(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

const size = (bytes) => (bytes >= MIB ? `${bytes / MIB} MiB` : bytes >= KIB ? `${bytes / KIB} KiB` : `${bytes} B`);
const expecting = (wanted) => (result, who) => {
  if (JSON.stringify(result) !== JSON.stringify(wanted)) throw new Error(`${who}: ${result} instead of ${wanted}`);
};

async function* crcRows(loadKernels, twins) {
  const crc32mpeg2 = require('crc/crc32mpeg2').default ?? require('crc/crc32mpeg2');
  const kernels = loadKernels();
  const chip = kernels.createChip(4 * MIB);
  for (const length of [256, 4 * KIB, 64 * KIB, MIB]) {
    const bytes = noise(length);
    const wanted = twins.crc32(bytes, 0, length, 0xffffffff);
    chip.overwrite(0, bytes);
    // zlib's is the reflected CRC-32, another number for as much work.
    const check = (result, who) => who === 'zlib.crc32' || expecting(wanted)(result, who);
    yield* await compare({
      name: `crc32 ${size(length)}, of the chip`,
      ours: () => chip.crc32(0, length),
      rivals: {
        'zlib.crc32': () => zlib.crc32(bytes),
        'npm crc': () => crc32mpeg2(bytes),
        'TypeScript twin': () => twins.crc32(bytes, 0, length, 0xffffffff),
      },
      check,
    });
    if (length === 256) continue;
    yield* await compare({
      name: `crc32 ${size(length)}, of a Buffer`,
      ours: () => kernels.crc32(bytes),
      rivals: { 'zlib.crc32': () => zlib.crc32(bytes) },
      check,
    });
  }
  // Every other sector in the arena: what a branch looks like in the middle of a copy.
  const bytes = noise(64 * KIB, 2);
  chip.overwrite(0, bytes);
  chip.fork();
  for (let sector = 15; sector > 0; sector -= 2)
    chip.overwrite(sector * 4096, bytes.subarray(sector * 4096, sector * 4096 + 4096));
  const wanted = twins.crc32(bytes, 0, bytes.length, 0xffffffff);
  yield* await compare({
    name: 'crc32 64 KiB, of scattered sectors',
    ours: () => chip.crc32(0, bytes.length),
    rivals: { 'zlib.crc32': () => zlib.crc32(bytes) },
    check: (result, who) => who === 'zlib.crc32' || expecting(wanted)(result, who),
  });
}

async function* md5Rows(loadKernels) {
  const { createMD5 } = await import('hash-wasm');
  const jsMd5 = require('js-md5');
  const hashWasm = await createMD5();
  const kernels = loadKernels();
  const chip = kernels.createChip(4 * MIB);
  const stream = kernels.md5();
  const hex = (bytes) => Buffer.from(bytes).toString('hex');
  const openssl = (bytes) => createHash('md5').update(bytes).digest();
  for (const length of [4 * KIB, 64 * KIB, MIB]) {
    const bytes = noise(length);
    const check = (result, who) => expecting(hex(openssl(bytes)))(hex(result), who);
    chip.overwrite(0, bytes);
    yield* await compare({
      name: `md5 ${size(length)}, one stream`,
      ours: () => stream.reset().update(bytes).digest(),
      rivals: {
        'node:crypto': () => openssl(bytes),
        'hash-wasm': () => hashWasm.init().update(bytes).digest('binary'),
        'js-md5': () => jsMd5.arrayBuffer(bytes),
      },
      check,
    });
    yield* await compare({
      name: `md5 ${size(length)}, of the chip`,
      ours: () => stream.reset().updateFromChip(chip, 0, length).digest(),
      rivals: { 'node:crypto': () => openssl(bytes) },
      check,
    });
    const four = [1, 2, 3, 4].map((seed) => noise(length, seed));
    yield* await compare({
      name: `md5 4 x ${size(length)}, four lanes`,
      ours: () => kernels.md5x4(four),
      rivals: { '4 x node:crypto': () => four.map(openssl) },
      check: (result, who) => expecting(four.map((input) => hex(openssl(input))))(result.map(hex), who),
    });
  }
}

async function* cellRows(instantiateKernels, loadKernels, twins) {
  const instance = instantiateKernels();
  const { exports } = instance;
  const cells = 1 * MIB;
  const wish = 3 * MIB;
  instance.reserve(6 * MIB);
  for (const length of [256, 4 * KIB, 64 * KIB, MIB]) {
    // What a sound driver asks for: only bits that are still 1, or are to become 0.
    const before = noise(length, 5);
    const data = noise(length, 6).map((byte, i) => byte & before[i]);
    instance.bytes.set(before, cells);
    instance.bytes.set(data, wish);
    const words = new Int32Array(before.buffer.slice(before.byteOffset, before.byteOffset + length));
    const wanted = new Int32Array(new Uint8Array(data).buffer);
    const jsLoop = programWords(words, wanted);
    yield* await compare({
      name: `nor program ${size(length)}`,
      ours: () => exports.norProgram(cells, wish, length),
      rivals: {
        'best JS loop': () => jsLoop(length >> 2),
        'memory.copy': () => exports.copyBytes(cells, wish, length),
      },
      check: (result, who) => {
        if (who !== 'memory.copy') expecting(0)(result, who);
        expecting(twins.crc32(data, 0, length, 0))(twins.crc32(instance.bytes, cells, length, 0), who);
        if (who === 'best JS loop') expecting(Array.from(wanted))(Array.from(words), who);
      },
    });
  }
  for (const length of [4 * KIB, 64 * KIB]) {
    // Every word asks for bits that cannot be had.
    const data = noise(length, 7);
    instance.bytes.fill(0x55, cells, cells + length);
    instance.bytes.set(data, wish);
    const words = new Int32Array(length >> 2).fill(0x55555555);
    const wanted = new Int32Array(new Uint8Array(data).buffer);
    const jsLoop = programWords(words, wanted);
    const stuck = data.reduce((sum, byte) => sum + twins.bitCount(byte & 0xaa), 0);
    yield* await compare({
      name: `nor program ${size(length)}, stuck bits in all`,
      ours: () => exports.norProgram(cells, wish, length),
      rivals: { 'best JS loop': () => jsLoop(length >> 2) },
      check: (result, who) => {
        // The first call clears what it can; from then on those bits are stuck too, and the count is the same each time.
        if (result !== stuck) throw new Error(`${who}: ${result} stuck bits instead of ${stuck}`);
      },
    });
  }
  const copy = noise(64 * KIB, 8);
  const other = Buffer.from(copy);
  instance.bytes.set(copy, cells);
  instance.bytes.set(copy, wish);
  yield* await compare({
    name: 'compare 64 KiB',
    ours: () => exports.equalBytes(cells, wish, 64 * KIB) === 1,
    rivals: { 'Buffer.equals': () => copy.equals(other) },
    check: expecting(true),
  });
  yield* erasureRows(loadKernels);
}

async function* erasureRows(loadKernels) {
  const chip = loadKernels().createChip(4 * MIB);
  const sector = new Uint8Array(4 * KIB);
  yield* await compare({
    name: 'erase one sector',
    ours: () => chip.eraseSector(3),
    rivals: { 'Uint8Array.fill': () => sector.fill(0xff) },
    check: () => expecting(true)(chip.isBlank(3 * 4096, 4096), 'erase'),
  });
  const bytes = noise(64 * KIB);
  const copy = Buffer.from(bytes);
  chip.overwrite(0, bytes);
  yield* await compare({
    name: 'compare 64 KiB, of the chip',
    ours: () => chip.equals(0, bytes),
    rivals: { 'Buffer.equals': () => copy.equals(bytes) },
    check: expecting(true),
  });
  const blank = Buffer.alloc(64 * KIB, 0xff);
  yield* await compare({
    name: 'blank check 64 KiB',
    ours: () => chip.isBlank(MIB, 64 * KIB),
    rivals: { 'Uint8Array.every': () => blank.every((byte) => byte === 0xff) },
    check: expecting(true),
  });
  const page = noise(256);
  const image = Buffer.alloc(4 * MIB, 0xff);
  chip.eraseSector(32);
  yield* await compare({
    name: 'program one page, from a Uint8Array',
    ours: () => chip.program(32 * 4096, page),
    rivals: {
      'JS byte loop': () => {
        let stuck = 0;
        for (let i = 0; i < 256; i++) {
          stuck |= page[i] & ~image[32 * 4096 + i];
          image[32 * 4096 + i] &= page[i];
        }
        return stuck;
      },
    },
    check: expecting(0),
  });
}

async function* storeRows(loadKernels) {
  const chip = loadKernels().createChip(4 * MIB);
  const golden = noise(4 * MIB);
  const scratch = Buffer.alloc(4 * MIB);
  chip.overwrite(0, golden);
  const untouched = () => expecting(0)(chip.depth, 'depth');
  yield* await compare({
    name: 'fork of a 4 MiB chip, and drop',
    ours: () => {
      chip.fork();
      chip.drop();
    },
    rivals: { 'Buffer.copy': () => golden.copy(scratch) },
    check: untouched,
  });
  yield* await compare({
    name: 'fork, copy 16 sectors, drop',
    ours: () => {
      chip.fork();
      for (let sector = 0; sector < 16; sector++) chip.copySector(512 + sector, sector);
      chip.drop();
    },
    rivals: {
      'Buffer.copy and 16 sectors': () => {
        golden.copy(scratch);
        for (let sector = 0; sector < 16; sector++)
          scratch.copyWithin(sector << 12, (512 + sector) << 12, (513 + sector) << 12);
      },
    },
    check: untouched,
  });
}
