/** What the chip tells: one event per chip operation. Contract: design.md §5. */

/** What an address is for, by the layout and the last `update.begin`. Source: design.md §5. */
export type Area = 'eboot' | 'app' | 'staging' | 'fs' | 'gap' | 'eeprom' | 'rfcal' | 'wifi';

/** `torn` (added to the contract's fields): power went after that many bits of the operation; absent for a whole one. */
export type FlashEvent =
  /** One sector was erased. `wear` counts the erases of this sector, this one included. */
  | { type: 'flash.erase'; address: number; length: number; area: Area; stuckBits: number; wear: number; torn?: number }
  /** Up to one page was programmed. `stuckBits`: bits that were asked to go 0 -> 1 and stayed 0. */
  | {
      type: 'flash.program';
      address: number;
      length: number;
      area: Area;
      stuckBits: number;
      wear: number;
      torn?: number;
    };
