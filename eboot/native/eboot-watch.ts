/**
 * Tells in eboot's terms what executed code does, from the calls that it makes: which command it found, which sectors it
 * copied, and how it ended. The code itself is not asked. Source: spec chapter 01 §9.3, §9.4.
 */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import { type CommandRecord, isValidCommand } from '../command.ts';
import { COPY_NO_RESULT, COPY_OK } from '../copy.ts';
import type { EbootHost } from '../machine.ts';

const RESULTS = /(?:cp:B?|cmp:|e:)(\d+)/g;

export class EbootWatch {
  /** Everything sent on UART0, latin1. */
  uart = '';
  private commandTold = false;
  private copying = false;

  /** @param record the command as it was before the code ran */
  constructor(
    private readonly host: EbootHost,
    private readonly record: CommandRecord,
  ) {}

  transmit(text: string): void {
    this.uart += text;
    this.host.transmit?.(text);
    if (text === '@' && !this.commandTold) this.tellCommand();
    if (text === 'B' && this.copying) this.host.emit?.({ type: 'eboot.copy', sector: 0, skipped: true });
  }

  watchdog(call: string): void {
    this.copying = call === 'disable';
    this.host.watchdog?.(call);
  }

  /** A write has been carried out. */
  wrote(address: number, length: number): void {
    if (length < SECTOR_BYTES) return;
    this.host.emit?.({ type: 'eboot.copy', sector: Math.floor(address / SECTOR_BYTES), skipped: false });
  }

  /** The last result code that was printed. */
  get result(): number {
    return Number([...this.uart.matchAll(RESULTS)].at(-1)?.[1] ?? COPY_NO_RESULT);
  }

  end(booted: boolean): void {
    this.host.emit?.({ type: 'eboot.end', result: booted ? COPY_OK : this.result, uart: this.uart });
  }

  private tellCommand(): void {
    this.commandTold = true;
    if (!isValidCommand(this.record, false)) return;
    const [source, destination, size] = this.record.args as [number, number, number];
    this.host.emit?.({ type: 'eboot.command', action: this.record.action, source, destination, size });
  }
}
