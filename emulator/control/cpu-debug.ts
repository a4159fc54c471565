/**
 * The CPU as a debugger sees it, while code is executed on it (`--bootloader native`). Whoever runs the CPU gives one to
 * the device when eboot starts and takes it back when eboot ends.
 */

/** Why the CPU stands still. */
export interface CpuStop {
  /** `step`, or the reason of the event `cpu.stop`. */
  readonly reason: string;
  /** Instructions executed. */
  readonly steps: number;
}

export interface CpuDebug {
  /** Address of the coming instruction. */
  readonly pc: number;
  /** a0 to a15. */
  readonly registers: Uint32Array;
  /** Special registers by their lower-case names (`sar`, `ps`, `exccause` …). */
  special(): Readonly<Record<string, number>>;
  /** Instructions since the reset. */
  readonly steps: number;
  /** Addresses before which the CPU stops. */
  readonly breakpoints: Set<number>;
  /**
   * Executes up to `count` instructions while the device is paused; a flash operation on the way is carried out.
   */
  step(count: number): CpuStop | Promise<CpuStop>;
}
