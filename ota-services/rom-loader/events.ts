/** What the serial loader tells. Contract: design.md §5. */

/** Who answers: the loader in the mask ROM, or the flasher stub that a host put into RAM. */
export type Dialect = 'rom' | 'stub';

export type LoaderEvent =
  /** It listens: after a reset into download mode, and again when a stub was started. */
  | { type: 'loader.start'; dialect: Dialect }
  /**
   * One command was carried out or refused. `status` and `error` are the reply's last two bytes: 0 and 0 for success
   * (spec chapter 05 §9). `name` as in spec chapter 05, or `0x99` for a number that has none.
   */
  | { type: 'loader.command'; name: string; status: number; error: number }
  /** The host sent it away. A reset from outside ends it without this event. */
  | { type: 'loader.end'; dialect: Dialect; next: 'run-flash' | 'reset' | 'run-ram' };
