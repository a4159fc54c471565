/** The debugger's view of code that is being executed, over the machine that executes it. */
import type { MachineDebugger, NativeMachine } from '../eboot/native/native-machine.ts';
import type { CpuDebug, CpuStop } from './control/cpu-debug.ts';
import type { DeviceEvent } from './events.ts';
import type { Pace } from './pace.ts';

const SPECIAL_REGISTERS = [
  ...['sar', 'ps', 'epc1', 'epc2', 'epc3', 'eps2', 'eps3', 'depc', 'exccause', 'excvaddr', 'debugcause', 'vecbase'],
  ...['excsave1', 'excsave2', 'excsave3', 'intenable', 'interrupt', 'ccount', 'ccompare0', 'litbase'],
];

export class NativeDebug implements CpuDebug, MachineDebugger {
  readonly breakpoints = new Set<number>();
  budget = Number.POSITIVE_INFINITY;
  private waiting: ((stop: CpuStop) => void) | undefined;
  private from = 0;
  private over = false;
  /** It stands before an instruction. */
  private standing = false;

  /**
   * @param pace of the device: halting pauses it
   * @param onHalt told of each halt, with the reasons of {@link CpuStop}
   */
  constructor(
    readonly machine: NativeMachine,
    private readonly pace: Pace,
    private readonly emit: (event: DeviceEvent) => void,
    private readonly onHalt: (reason: 'breakpoint' | 'step' | 'end') => void = () => {},
  ) {
    machine.debug = this;
  }

  get pc(): number {
    return this.machine.cpu.pc;
  }

  get registers(): Uint32Array {
    return this.machine.cpu.registers;
  }

  get steps(): number {
    return this.machine.steps;
  }

  special(): Readonly<Record<string, number>> {
    return Object.fromEntries(SPECIAL_REGISTERS.map((name) => [name, this.machine.cpu.special.get(name)]));
  }

  /** @throws Error when the device is not paused, or a step is under way */
  step(count: number): Promise<CpuStop> {
    if (!this.pace.paused) throw new Error('step() needs a paused device: call device.pause() first');
    if (this.waiting) throw new Error('a step is under way');
    if (this.over) return Promise.resolve({ reason: 'end', steps: 0 });
    this.standing = false;
    this.budget = count;
    this.from = this.steps;
    const stop = new Promise<CpuStop>((resolve) => {
      this.waiting = resolve;
    });
    this.pace.beginStep();
    return stop;
  }

  /** Stops before the coming instruction; a ROM function or flash operation under way is done before. False: it stands. */
  halt(): boolean {
    if (this.standing) return false;
    this.budget = 0;
    return true;
  }

  /** Goes on until a breakpoint. */
  resume(): void {
    this.standing = false;
    this.budget = Number.POSITIVE_INFINITY;
    this.pace.resume();
  }

  halted(reason: 'breakpoint' | 'step'): void {
    this.standing = true;
    this.budget = Number.POSITIVE_INFINITY;
    if (reason === 'breakpoint') this.emit({ type: 'cpu.stop', reason, pc: this.pc });
    if (this.pace.paused) this.pace.endStep();
    else this.pace.pause();
    this.answer(reason);
  }

  /** The code has ended: it booted an application, was reset, or lost its power. */
  end(): void {
    this.over = true;
    this.machine.debug = undefined;
    this.pace.endStep();
    this.answer('end');
  }

  private answer(reason: 'breakpoint' | 'step' | 'end'): void {
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.({ reason, steps: this.steps - this.from });
    this.onHalt(reason);
  }
}
