/**
 * The LX106 core in WASM against its TypeScript twin and the chip itself, on real code: the inflate routine of the flasher
 * stub that esptool-js uploads.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { compare } from '../harness.mjs';

/** The clock of the chip in eboot after a warm start, at 1 cycle an instruction: its best case. */
const CHIP_HZ = 80_000_000;

/** Where things are in the stub of esptool-js 0.7.0 (md5 of its code below), found with objdump. */
const STUB_MD5 = '2f1cdc61b44cf29e0e68db789ecfe533';
const HANDLE_DEFLATED_DATA = 0x4010d60c;
/** Flash: prepares and writes. Both return 0 here. */
const FLASH_FUNCTIONS = [0x4010cec4, 0x4010d444];
const RETURN_0 = Uint8Array.of(0x0c, 0x02, 0x0d, 0xf0); // movi.n a2, 0; ret.n
const STATE = 0x3fff835c;
/** In the state: how many compressed bytes are still to come. */
const REMAINING = STATE + 16;
const WINDOW = 0x3ffe812c;
const INPUT = 0x3fffb300;
const STACK = 0x3ffffff0;

/** Mask ROM functions it calls; and where it returns to at the end. */
const ROM = { memcpy: 0x4000df48, memset: 0x4000e190, umodsi3: 0x4000e268, done: 0x4000fff0 };

/** Rounds of a measurement against the clock, calls a round, and calls before. */
const ROUNDS = 15;
const CALLS = 10;
const WARM_UP_CALLS = 100;

export async function* rows(load) {
  const { createLx106Sync } = await load('eboot/lx106.js');
  const { referenceLx106 } = await load('assembly/host/lx106-reference.js');
  const stub = readStub();
  const plain = codeLike(stub.text);
  const ours = inflater(createLx106Sync, stub, plain);
  const twin = inflater(referenceLx106, stub, plain);
  for (let call = 0; call < WARM_UP_CALLS; call++) ours();
  twin();
  const check = (cpu, who) => {
    if (Buffer.compare(cpu.readBytes(WINDOW, plain.length), plain) !== 0) throw new Error(`${who}: inflated wrongly`);
  };
  const name = 'LX106: the flasher stub inflates 22 KiB';
  yield* await compare({ name, ours, rivals: { 'TypeScript twin': twin }, calls: 1, rounds: ROUNDS, check });
  yield clocked(name, ours, 'the chip (80 MHz)', CHIP_HZ);
  yield clocked('LX106: the TypeScript twin does so', twin, 'the chip (80 MHz)', CHIP_HZ, 1);
}

/** Instructions a second against a clock with one instruction a cycle. Of a round the shortest call counts, as in compare(). */
function clocked(name, run, versus, hz, calls = CALLS) {
  const ratios = [];
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    let nanoseconds = Number.POSITIVE_INFINITY;
    let steps = 0;
    for (let call = 0; call < calls; call++) {
      const start = process.hrtime.bigint();
      steps = run().steps;
      nanoseconds = Math.min(nanoseconds, Number(process.hrtime.bigint() - start));
    }
    times.push(nanoseconds);
    ratios.push((steps * 1e9) / nanoseconds / hz);
  }
  const ascending = (a, b) => a - b;
  ratios.sort(ascending);
  return {
    name,
    versus,
    ratio: ratios[ROUNDS >> 1],
    low: ratios[1],
    high: ratios.at(-2),
    unit: 'times faster',
    nanoseconds: times.sort(ascending)[ROUNDS >> 1],
  };
}

function readStub() {
  const folder = join(createRequire(import.meta.url).resolve('esptool-js/package.json'), '..');
  const json = JSON.parse(readFileSync(join(folder, 'lib/targets/stub_flasher/esp8266.json'), 'utf8'));
  const stub = { ...json, text: Buffer.from(json.text, 'base64'), data: Buffer.from(json.data, 'base64') };
  const md5 = createHash('md5').update(stub.text).digest('hex');
  if (md5 !== STUB_MD5) throw new Error(`the stub of esptool-js is another one (${md5}): look its addresses up again`);
  return stub;
}

/** The stub's own code twice, changed here and there the second time: compresses about as firmware does. */
function codeLike(text) {
  const bytes = Buffer.concat([text, text]);
  let state = 1;
  for (let i = text.length; i < bytes.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    if (state >>> 24 < 40) bytes[i] = state >>> 16;
  }
  return bytes;
}

/** A function that inflates `plain` once and gives the core as it is then; `steps` starts at 0 each time. */
function inflater(create, stub, plain) {
  const packed = zlib.deflateSync(plain, { level: 9 });
  const cpu = create({ romTraps: true });
  cpu.writeBytes(stub.text_start, stub.text);
  cpu.writeBytes(stub.data_start, stub.data);
  for (const address of FLASH_FUNCTIONS) cpu.writeBytes(address, RETURN_0);
  // A packet as the serial loader leaves it: length, sequence number, two words, data; a2 + 8 holds its address.
  cpu.writeWord(INPUT - 8, INPUT);
  cpu.writeWord(INPUT, packed.length);
  cpu.writeBytes(INPUT + 16, packed);
  cpu.writeWord(REMAINING, packed.length);
  cpu.special.set('ps', 0x20);
  cpu.registers[0] = ROM.done;
  cpu.registers[1] = STACK;
  cpu.registers[2] = INPUT - 16;
  cpu.pc = HANDLE_DEFLATED_DATA;
  const start = cpu.snapshot();
  return () => {
    cpu.restore(start);
    serveRom(cpu);
    return cpu;
  };
}

function serveRom(cpu) {
  const { registers } = cpu;
  for (;;) {
    const { reason } = cpu.run({ maxSteps: 10_000_000 });
    if (reason !== 'trap') throw new Error(`${reason} at 0x${cpu.pc.toString(16)}`);
    const [a2, a3, a4] = registers.subarray(2, 5);
    switch (cpu.pc) {
      case ROM.done:
        return;
      case ROM.memcpy:
        cpu.writeBytes(a2, cpu.readBytes(a3, a4));
        break;
      case ROM.memset:
        cpu.writeBytes(a2, new Uint8Array(a4).fill(a3));
        break;
      case ROM.umodsi3:
        registers[2] = a2 % a3;
        break;
      default:
        throw new Error(`ROM function 0x${cpu.pc.toString(16)}`);
    }
    cpu.pc = registers[0];
  }
}
