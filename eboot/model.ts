/**
 * eboot restated: what the bootloader in sector 0 does between the ROM's jump into it and its own jump into the
 * application. Source: spec chapter 01 §9; chapter 07 §8.2 for the builds.
 *
 * It verifies nothing that the real one does not verify, and prints each byte where the real one prints it.
 */
import type { Crc32 } from './command.ts';
import { ACTION_COPY_RAW, ACTION_LOAD_APP, COMMAND_BYTES, CRC_WORD, decodeCommand, isValidCommand } from './command.ts';
import { COPY_NO_RESULT, COPY_OK, copy } from './copy.ts';
import type { Era } from './eras.ts';
import { loadApp } from './load-app.ts';
import type { EbootHost, Requests } from './machine.ts';
import { RTC_BASE, RTC_USER_OFFSET } from './memory-map.ts';
import type { Ram } from './ram.ts';

/** The word that the `v` line shows. */
const VERSION_ADDRESS = 0x1010;
/** Enough for a copy of 4 MiB; a stream without end goes on to it. */
export const DEFAULT_MAX_STEPS = 2e9;
const STEPS_AT_START = 300;
const STEPS_FOR_CRC = 10_000;
const WATCHDOG_ARGUMENTS = '4 12 12';

export interface EbootOptions {
  readonly era: Era;
  readonly crc32: Crc32;
  /** Keeps its content: what was there before, eboot's buffers begin with. */
  readonly ram: Ram;
  /** The first 128 bytes (or more) of RTC user memory, read once at the start. */
  readonly readCommand: () => Uint8Array;
  readonly host?: EbootHost;
  /** Instructions, counted roughly, after which the run is called a hang. */
  readonly maxSteps?: number;
}

/** How a run of eboot ends. */
export type EbootEnd =
  /** Jumped to the application, whatever is there (0xFFFFFFFF for a blank area: {@link fetchFault}). `base`: its flash offset minus one sector. */
  | { readonly outcome: 'boot'; readonly entry: number; readonly sp: number; readonly base: number }
  /** Software reset of the digital core; the ROM hangs afterwards. `code`: the last result. */
  | { readonly outcome: 'reset'; readonly code: number }
  /** LX106 exception `cause` at a store to (or, cause 0, at code overwritten from) `address`. */
  | {
      readonly outcome: 'exception';
      readonly cause: number;
      readonly address: number;
      /** Executed code only: the instruction that raised it; `address` is EXCVADDR then. */
      readonly epc1?: number;
    }
  /**
   * Never ends: the step limit was reached. The watchdog is off while eboot copies. Executed code also says why, as in the
   * event `cpu.stop`, and where.
   */
  | { readonly outcome: 'hang'; readonly reason?: string; readonly pc?: number };

/** Ends a run from any depth of the generator. Never leaves this file. */
class OutOfSteps extends Error {}

/**
 * One run of eboot, as requests to the machine below it.
 *
 * @example
 * const end = runRequests(eboot({ era: eraOf('master'), crc32, ram, readCommand: () => rtc.readUser(0, 128) }), machine);
 */
export function* eboot(options: EbootOptions): Requests<EbootEnd> {
  const { era, ram, host = {}, maxSteps = DEFAULT_MAX_STEPS } = options;
  let uart = '';
  const print = (text: string): void => {
    uart += text;
    host.transmit?.(text);
  };
  let steps = 0;
  const spend = (count: number): void => {
    steps += count;
    if (steps > maxSteps) throw new OutOfSteps();
  };
  let result = COPY_NO_RESULT;
  const finish = (end: EbootEnd): EbootEnd => {
    host.emit?.({ type: 'eboot.end', result: end.outcome === 'boot' ? COPY_OK : result, uart });
    return end;
  };

  host.emit?.({ type: 'eboot.start', engine: 'model', version: era.name });
  try {
    spend(STEPS_AT_START);
    if (era.versionLine) {
      const word = new Uint8Array(4);
      const failed = yield { op: 'read', address: VERSION_ADDRESS, length: 4, target: word };
      if (!failed) print(`v${hex(new DataView(word.buffer).getUint32(0, true))}\r\n`);
    }

    const record = decodeCommand(options.readCommand(), options.crc32);
    const valid = isValidCommand(record, era.magicChecked);
    if (record.magicOk || !era.magicChecked) spend(STEPS_FOR_CRC);
    let action = valid ? record.action : ACTION_LOAD_APP;
    let base = valid ? record.args[0]! : 0;
    print(valid ? '@' : '~');
    if (valid) {
      const [source, destination, size] = record.args as [number, number, number];
      host.emit?.({ type: 'eboot.command', action, source, destination, size });
    }
    if (era.clears === 'before' && (valid || era.clearsInvalid)) yield* clear();

    if (action === ACTION_COPY_RAW) {
      const [source, destination, size] = record.args as [number, number, number];
      const context = { era, ram, host, print, spend };
      for (const pass of era.verifies ? (['write', 'verify'] as const) : (['write'] as const)) {
        print(pass === 'write' ? 'cp:' : 'cmp:');
        // 2.7.2 prints the code of a failed copy a second time instead of comparing.
        if (pass === 'write' || result === COPY_OK) {
          host.watchdog?.('disable');
          result = yield* copy(context, { source, destination, size }, pass);
          host.watchdog?.(`enable ${era.watchdogArguments ? WATCHDOG_ARGUMENTS : result}`);
        }
        print(`${result}${era.lineEnd}`);
      }
      if (result === COPY_OK) {
        action = ACTION_LOAD_APP;
        base = destination;
      }
    }
    if (era.clears === 'after' && valid) yield* clear();

    if (action === ACTION_LOAD_APP) {
      print(`ld${era.lineEnd}`);
      const load = yield* loadApp({ era, ram, spend }, base);
      if (load.result === 'jump') return finish({ outcome: 'boot', entry: load.entry, sp: load.sp, base });
      if (load.result === 'exception')
        return finish({ outcome: 'exception', cause: load.cause, address: load.address });
      if (load.result === 'failed') {
        result = load.code;
        print(`e:${result}${era.lineEnd}`);
      }
    }
    return finish({ outcome: 'reset', code: result });
  } catch (error) {
    if (error instanceof OutOfSteps) return finish({ outcome: 'hang' });
    throw error;
  }
}

/** Sets the magic and the CRC word to zero; action and arguments stay. */
function* clear(): Requests<void> {
  for (const wordIndex of [0, CRC_WORD]) {
    yield { op: 'rtc', address: RTC_BASE + RTC_USER_OFFSET + wordIndex * 4, length: 4, value: 0 };
  }
}

const hex = (word: number): string => word.toString(16).padStart(8, '0');

if (CRC_WORD * 4 + 4 !== COMMAND_BYTES) throw new Error('the CRC is the last word of the command');
