/** Why the chip starts again; each cause keeps different memory. Source: spec chapter 01 §6.3, §6.4, §8.1; design.md §5. */
export type ResetCause =
  | 'power-on'
  | 'external'
  | 'software'
  | 'software-watchdog'
  | 'hardware-watchdog'
  | 'exception'
  | 'eboot'
  | 'brown-out';
