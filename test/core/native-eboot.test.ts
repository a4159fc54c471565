/**
 * The real bootloader, executed: the golden traces, and the model of each build beside it. Needs ARDUINO_CORE_DIR; with
 * ESP8266_IMAGES (files, joined by `:`) also the bootloaders inside those images.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { referenceLx106 } from '../../assembly/host/lx106-reference.ts';
import { createLx106Sync } from '../../eboot/lx106.ts';
import { CpuSocket } from '../../eboot/native/native-machine.ts';
import { firstDifference, isCutShort, watchdogMode } from '../support/boot-difference.ts';
import { coreEboot, imageEboots } from '../support/core-images.ts';
import { goldenTraces, play, sha256, wantedResult } from '../support/golden-eboot.ts';
import { anyPackedStart, anyStart, boots } from '../support/random-boots.ts';

const CORES = [
  ['WebAssembly', new CpuSocket(createLx106Sync)],
  ['TypeScript', new CpuSocket(referenceLx106)],
] as const;
const FILLS = [0xa5, 0x5a];

describe.each(CORES)('golden traces on the core in %s', (_, socket) => {
  const { image } = coreEboot();
  test.each(goldenTraces.map((trace) => [trace.name, trace] as const))('%s', async (_name, trace) => {
    for (const ram of FILLS) {
      const runs = await play(trace, { engine: 'native', loader: image, socket, ram });
      for (const [index, run] of runs.entries()) {
        const wanted = trace.runs[index]!;
        if (wanted.dependsOnRam && ram !== FILLS[0]) break;
        const { watchdog, ...rest } = run.result;
        const { watchdog: wantedWatchdog, ...wantedRest } = wantedResult(wanted);
        expect(rest).toEqual(wantedRest);
        expect(watchdog.map(watchdogMode)).toEqual(wantedWatchdog.map(watchdogMode));
        const known = run.flash.slice();
        for (const [address, length] of wanted.final.indeterminate) known.fill(0, address, address + length);
        expect(sha256(known), 'flash afterwards').toBe(wanted.final.flashSha256);
        expect(Buffer.from(run.rtcUser.subarray(0, 128)).toString('hex')).toBe(wanted.final.rtc128);
      }
    }
  });
});

const eboots = [coreEboot(), ...imageEboots()];

describe.each(eboots.map((eboot) => [eboot.build, eboot.name, eboot] as const))(
  'model against %s (%s)',
  (build, _, eboot) => {
    test.each(goldenTraces.map((trace) => [trace.name, trace] as const))('%s', async (_name, trace) => {
      for (const ram of FILLS) {
        const model = await play(trace, { engine: 'model', core: build.split(',')[0]!, ram });
        const native = await play(trace, { engine: 'native', loader: eboot.image, socket: CORES[0][1], ram });
        for (const [index, run] of native.entries()) {
          expect(firstDifference(model[index]!, run)).toBeUndefined();
        }
      }
    });
  },
);

describe.each(eboots.map((eboot) => [eboot.build, eboot] as const))('random starts of %s', (build, { image }) => {
  test.each([
    ['raw', anyStart],
    ['gzip', anyPackedStart],
  ] as const)('%s: the model does what the code does, cut anywhere', async (_, starts) => {
    await fc.assert(
      fc.asyncProperty(starts, async (given) => {
        const model = await boots(given, { engine: 'model', core: build.split(',')[0]! });
        const native = await boots(given, { engine: 'native', loader: image });
        for (const [index, trace] of native.entries()) {
          expect(firstDifference(model[index]!, trace), `start ${index}`).toBeUndefined();
          if (isCutShort(model[index]!, trace)) break;
        }
      }),
      { numRuns: 60 },
    );
  });
});
