/**
 * What a reset leaves behind besides memory: the cause the ROM prints, the reason the SDK reports, the latched straps, the
 * watchdog. Pure. Source: spec chapter 01 §6.4, §6.5, §8.1.
 */
import type { ResetCause } from './reset-cause.ts';
import { FLASH_BOOT, type Straps, strapNumber } from './straps.ts';

/** Raw hardware cause, N of "rst cause:N". */
export const RST_POWER_ON = 1;
export const RST_EXTERNAL = 2;
export const RST_SOFTWARE = 3;
export const RST_WATCHDOG = 4;

/** SDK reset reasons. Source: user_interface.h by way of spec chapter 01 §6.4. */
export const REASON_DEFAULT_RST = 0;
export const REASON_WDT_RST = 1;
export const REASON_EXCEPTION_RST = 2;
export const REASON_SOFT_WDT_RST = 3;
export const REASON_SOFT_RESTART = 4;
export const REASON_DEEP_SLEEP_AWAKE = 5;
export const REASON_EXT_SYS_RST = 6;

const REASON_TEXTS = [
  'Power On',
  'Hardware Watchdog',
  'Exception',
  'Software Watchdog',
  'Software/System restart',
  'Deep-Sleep Wake',
  'External System',
];

/** The SDK's record at the start of the RTC system data: seven words in this order. */
export interface RstInfo {
  readonly reason: number;
  readonly exccause: number;
  readonly epc1: number;
  readonly epc2: number;
  readonly epc3: number;
  readonly excvaddr: number;
  readonly depc: number;
}

export const NO_EXCEPTION = { exccause: 0, epc1: 0, epc2: 0, epc3: 0, excvaddr: 0, depc: 0 } as const;

/** Where the record lives: {@link RtcMemory}. */
export interface SystemWords {
  readSystemWord(offset: number): number;
  writeSystemWord(offset: number, value: number): void;
}

export function readRstInfo(rtc: SystemWords): RstInfo {
  const word = (index: number): number => rtc.readSystemWord(index * 4);
  return {
    reason: word(0),
    exccause: word(1),
    epc1: word(2),
    epc2: word(3),
    epc3: word(4),
    excvaddr: word(5),
    depc: word(6),
  };
}

export function writeRstInfo(rtc: SystemWords, info: RstInfo): void {
  const { reason, exccause, epc1, epc2, epc3, excvaddr, depc } = info;
  [reason, exccause, epc1, epc2, epc3, excvaddr, depc].forEach((value, index) => {
    rtc.writeSystemWord(index * 4, value);
  });
}

/**
 * The word that the SDK stores in the record before a restart of its own, or undefined for causes it does not see
 * coming: then the record keeps what normal running left there.
 */
export function storedReason(cause: ResetCause): number | undefined {
  switch (cause) {
    case 'exception':
      return REASON_EXCEPTION_RST;
    case 'software-watchdog':
      return REASON_SOFT_WDT_RST;
    case 'software':
      return REASON_SOFT_RESTART;
    default:
      return undefined;
  }
}

/**
 * What the running SDK keeps in the record's first word: 0 after its initialisation, a little later 1, so that a
 * hardware watchdog needs only to be confirmed by the raw cause.
 */
export const STORED_AT_INIT = REASON_DEFAULT_RST;
export const STORED_WHILE_RUNNING = REASON_WDT_RST;

/**
 * The reason that the SDK reports at its start.
 *
 * A restart of its own (2 to 5) is believed whatever the raw cause, which does not change then. A watchdog that bites
 * before the SDK has stored 1 is reported as Power On: a known quirk, kept.
 *
 * @param stored first word of the record
 * @param rstCause raw hardware cause
 */
export function sdkReason(stored: number, rstCause: number): number {
  if (stored >= REASON_EXCEPTION_RST && stored <= REASON_DEEP_SLEEP_AWAKE) return stored;
  if (rstCause === RST_EXTERNAL) return REASON_EXT_SYS_RST;
  if (rstCause === RST_WATCHDOG && stored === STORED_WHILE_RUNNING) return REASON_WDT_RST;
  return REASON_DEFAULT_RST;
}

/** `ESP.getResetReason()`. */
export function resetReasonText(reason: number): string {
  return REASON_TEXTS[reason] ?? 'Unknown';
}

/** `ESP.getResetInfo()`: registers for reasons 1 to 3, else the reason alone. */
export function resetInfoText(info: RstInfo): string {
  const text = resetReasonText(info.reason);
  if (info.reason < REASON_WDT_RST || info.reason > REASON_SOFT_WDT_RST) return text;
  const hex = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
  return (
    `Fatal exception:${info.exccause} flag:${info.reason} (${text}) epc1:${hex(info.epc1)} epc2:${hex(info.epc2)} ` +
    `epc3:${hex(info.epc3)} excvaddr:${hex(info.excvaddr)} depc:${hex(info.depc)}`
  );
}

/** How the chip starts after a reset. */
export interface Start {
  readonly cause: ResetCause;
  /** N of "rst cause:N". A restart by software does not change it. */
  readonly rstCause: number;
  /** RTC memory survived. */
  readonly rtcKept: boolean;
  /** Strap number in force: the first number of "boot mode:(a,b)". */
  readonly strap: number;
  /** The straps were latched anew by this start. */
  readonly latched: boolean;
  /** The hardware watchdog is running when the ROM begins. */
  readonly watchdogRunning: boolean;
  /**
   * The SDK has set the PLL and nothing has reset it since, so that the ROM sends at 115200 baud instead of 74880.
   * Source: spec chapter 01 §8.
   */
  readonly pllSet: boolean;
}

interface CauseRow {
  /** Raw cause; undefined: unchanged. */
  readonly rstCause?: number;
  readonly latches: boolean;
  readonly stopsWatchdog: boolean;
}

/**
 * Straps are latched by power and by the EXT_RST pin only: the log of a board that was soft-reset after a serial upload
 * still shows mode (1,7) after its watchdog reset. A brown-out is taken for an external reset.
 */
const CAUSES: Record<ResetCause, CauseRow> = {
  'power-on': { rstCause: RST_POWER_ON, latches: true, stopsWatchdog: true },
  external: { rstCause: RST_EXTERNAL, latches: true, stopsWatchdog: true },
  'brown-out': { rstCause: RST_EXTERNAL, latches: true, stopsWatchdog: true },
  'hardware-watchdog': { rstCause: RST_WATCHDOG, latches: false, stopsWatchdog: true },
  eboot: { rstCause: RST_SOFTWARE, latches: false, stopsWatchdog: true },
  software: { latches: false, stopsWatchdog: false },
  'software-watchdog': { latches: false, stopsWatchdog: false },
  exception: { latches: false, stopsWatchdog: false },
};

/** The part of the chip that remembers how it was started. Begins as a chip without power. */
export class ResetState {
  private rstCause = RST_POWER_ON;
  private strap = strapNumber(FLASH_BOOT);
  /** The hardware watchdog counts. Set it when eboot or the application switches it. */
  watchdogRunning = false;
  /** The SDK has set the PLL. Set it when an application starts. */
  pllSet = false;

  /**
   * @param cause why the chip starts
   * @param straps pin levels at this moment
   */
  start(cause: ResetCause, straps: Readonly<Straps>): Start {
    const row = CAUSES[cause];
    if (row.rstCause !== undefined) this.rstCause = row.rstCause;
    if (row.latches) this.strap = strapNumber(straps);
    if (row.stopsWatchdog) this.watchdogRunning = false;
    if (row.latches) this.pllSet = false;
    return {
      cause,
      rstCause: this.rstCause,
      rtcKept: cause !== 'power-on',
      strap: this.strap,
      latched: row.latches,
      watchdogRunning: this.watchdogRunning,
      pllSet: this.pllSet,
    };
  }

  snapshot(): { rstCause: number; strap: number; watchdogRunning: boolean; pllSet: boolean } {
    const { rstCause, strap, watchdogRunning, pllSet } = this;
    return { rstCause, strap, watchdogRunning, pllSet };
  }

  restore(snapshot: { rstCause: number; strap: number; watchdogRunning: boolean; pllSet?: boolean }): void {
    this.rstCause = snapshot.rstCause;
    this.strap = snapshot.strap;
    this.watchdogRunning = snapshot.watchdogRunning;
    this.pllSet = snapshot.pllSet ?? false;
  }
}
