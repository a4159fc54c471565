/** What the machine below the application tells. Contract: design.md §5. */
import type { ResetCause } from './reset-cause.ts';

export type BootEvent =
  | { type: 'reset'; cause: ResetCause; rtcKept: boolean }
  | { type: 'straps'; gpio0: 0 | 1; gpio2: 0 | 1; gpio15: 0 | 1; latched: number }
  | {
      type: 'rom.boot';
      rstCause: number;
      bootMode: [number, number];
      segments: number;
      checksumOk: boolean;
      failure?: string;
    }
  | { type: 'eboot.start'; engine: 'model' | 'native'; version: string }
  | { type: 'eboot.command'; action: number; source: number; destination: number; size: number }
  | { type: 'eboot.copy'; sector: number; skipped: boolean }
  | { type: 'eboot.end'; result: number; uart: string }
  /** Executed code stands still: `exception`, or why it hangs. */
  | { type: 'cpu.stop'; reason: string; pc: number; cause?: number }
  | { type: 'rtc.write'; offset: number; length: number; meaning?: string };
