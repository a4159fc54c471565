/**
 * The buttons of the board as keys of the terminal, where `vesp run` has one: r presses reset, f holds or lets go FLASH
 * (GPIO0), p pulls the plug or puts it back, q ends the run. What is typed here does not reach the sketch; a serial monitor
 * does that.
 */
import { readFileSync } from 'node:fs';
import type { Device } from '../index.ts';

export const KEYS_HINT = 'keys: r reset, f hold or let go FLASH (GPIO0), p power, q quit';

const CTRL_C = '\x03';
const CTRL_Z = '\x1a';
const ESCAPE = '\x1b';

/** What the keys do. Nothing of it needs a terminal. */
export class BoardKeys {
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly device: Pick<Device, 'isOn' | 'isRstLow' | 'powerOn' | 'powerOff' | 'reset' | 'straps'>,
    private readonly parts: { readonly note: (text: string) => void; readonly quit: () => void },
  ) {}

  /** One read of the terminal: a key, several, or the escape sequence of a key that means nothing here. */
  press(input: string): void {
    if (input.startsWith(ESCAPE)) return;
    for (const key of input) this.key(key);
  }

  /** Resolves when everything that was pressed so far has been done. */
  done(): Promise<unknown> {
    return this.last;
  }

  private key(key: string): void {
    const { device, parts } = this;
    switch (key) {
      case 'r':
        return this.enqueue(() => {
          if (!device.isOn) return parts.note('power is off: p puts it back');
          // Waiting for the start would keep all other keys waiting as well.
          if (device.isRstLow) return parts.note('a serial host holds RST low: the chip starts when that lets go');
          return device.reset('external');
        });
      case 'f':
        return this.enqueue(() => {
          device.straps.gpio0 = device.straps.gpio0 === 0 ? 1 : 0;
          parts.note(
            device.straps.gpio0 === 0
              ? 'FLASH is held: the next reset (r) starts the serial loader'
              : 'FLASH is let go: the next reset (r) starts from flash',
          );
        });
      case 'p':
        return this.enqueue(() => (device.isOn ? device.powerOff() : device.powerOn()));
      case 'q':
      case CTRL_C:
        return parts.quit();
      default:
    }
  }

  /** One after the other; what makes a device unable to go on is told by `device.failed`. */
  private enqueue(action: () => unknown): void {
    this.last = this.last.then(action).catch(() => {});
  }
}

/**
 * Listens to the terminal; undefined where stdin is none, or where it belongs to another job (`vesp run &`).
 * @returns what gives the terminal back
 */
export function listenToKeys(keys: BoardKeys, stdin: NodeJS.ReadStream = process.stdin): (() => void) | undefined {
  if (!stdin.isTTY || !inForeground()) return undefined;
  const onData = (input: string): void => {
    if (input !== CTRL_Z) return keys.press(input);
    // The shell gets a terminal as it knows it; fg brings us back.
    stdin.setRawMode(false);
    process.kill(process.pid, 'SIGTSTP');
  };
  const onContinue = (): void => {
    if (inForeground()) stdin.setRawMode(true);
  };
  stdin.setRawMode(true);
  stdin.setEncoding('latin1').on('data', onData).resume();
  process.on('SIGCONT', onContinue);
  return () => {
    process.off('SIGCONT', onContinue);
    stdin.off('data', onData).pause();
    if (inForeground()) stdin.setRawMode(false);
  };
}

/** A job in the background that touches the terminal is stopped by the system. */
function inForeground(): boolean {
  try {
    // After the name in parentheses: state, ppid, pgrp, session, tty, tpgid.
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[2] === fields[5];
  } catch {
    const { spawnSync } = process.getBuiltinModule('node:child_process');
    const { stdout } = spawnSync('ps', ['-o', 'pgid=,tpgid=', '-p', String(process.pid)], { encoding: 'latin1' });
    const [group, foreground] = (stdout ?? '').trim().split(/\s+/);
    return group !== undefined && group === foreground;
  }
}
