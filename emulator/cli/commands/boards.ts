/** `vesp boards` and `vesp layouts`: the tables of spec chapter 01 §4 and §5. */
import type { Command } from 'commander';
import { boards } from '../../../flash/boards.ts';
import { layouts } from '../../../flash/layouts.ts';
import { printTable } from '../table.ts';

const hex = (value: number): string => `0x${value.toString(16)}`;
const size = (bytes: number): string => (bytes >= 0x100000 ? `${bytes / 0x100000}M` : `${bytes / 1024}K`);

export function registerBoardsCommand(program: Command): void {
  program
    .command('boards')
    .description('List the 39 boards of the core, for --board.')
    .option('--json', 'one JSON array')
    .action(({ json }: { json?: boolean }) => {
      if (json) {
        console.log(JSON.stringify(boards, null, 2));
        return;
      }
      printTable(
        ['id', 'name', 'flash', 'default layout', 'mode', 'MHz'],
        boards.map((board) => [
          board.id,
          board.name,
          size(board.defaultFlashSize),
          board.defaultLayout,
          board.flashMode,
          String(board.flashFreqMHz),
        ]),
      );
    });
}

export function registerLayoutsCommand(program: Command): void {
  program
    .command('layouts')
    .description('List the 27 flash layouts of the core, for --layout.')
    .option('--json', 'one JSON array')
    .action(({ json }: { json?: boolean }) => {
      if (json) {
        console.log(JSON.stringify(layouts, null, 2));
        return;
      }
      printTable(
        ['layout', 'chip', 'largest sketch', 'file system', 'size', 'eeprom'],
        layouts.map((layout) => [
          layout.name,
          layout.chipSize === 0 ? 'by chip' : size(layout.chipSize),
          String(layout.sketchMax),
          layout.fsSize === 0 ? '-' : `${hex(layout.fsStart)}-${hex(layout.fsEnd)}`,
          layout.fsSize === 0 ? '-' : `${layout.fsSize / 1024}K`,
          layout.chipSize === 0 ? '-' : hex(layout.eepromStart),
        ]),
      );
    });
}
