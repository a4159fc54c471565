/** Lines that a DEBUG_ESP_UPDATER build prints around `begin`. Source: spec chapter 02 §9.4. */
import { roundUpToSector } from '../flash/geometry.ts';
import { U_FLASH, U_FS, type UpdateSpace } from './update-area.ts';

/** Upper-case hex without padding, as `%X`. */
export const hex = (value: number): string => value.toString(16).toUpperCase();
/** `0x%08X`. */
export const hex8 = (value: number): string => `0x${hex(value).padStart(8, '0')}`;
/** `0x%08X (%d)`: the decimal is signed. */
const hexAndDecimal = (value: number): string => `${hex8(value)} (${value | 0})`;

/** What `begin` prints about the space, before it is judged. Each line ends with LF. */
export function areaLines(size: number, command: number, space: UpdateSpace): string[] {
  switch (command) {
    case U_FLASH:
      return [
        `[begin] roundedSize:       ${hexAndDecimal(roundUpToSector(size))}\n`,
        `[begin] updateEndAddress:  ${hexAndDecimal(space.fsStart)}\n`,
        `[begin] currentSketchSize: ${hexAndDecimal(roundUpToSector(space.sketchSize))}\n`,
      ];
    case U_FS:
      return ['[begin] Update Filesystem.\n'];
    default:
      return ['[begin] Unknown update command.\n'];
  }
}

/** What `begin` prints when all is well. */
export const rangeLines = (start: number, size: number): string[] => [
  `[begin] _startAddress:     ${hexAndDecimal(start)}\n`,
  `[begin] _currentAddress:   ${hexAndDecimal(start)}\n`,
  `[begin] _size:             ${hexAndDecimal(size)}\n`,
];
