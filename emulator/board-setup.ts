/** Board, layout and chip, from the options or what follows from each other. Source: spec chapter 01 §4, §5. */
import { type Board, boardById } from '../flash/boards.ts';
import { CHIP_MAX_BYTES, CHIP_MIN_BYTES } from '../flash/geometry.ts';
import { type FlashLayout, layoutByName, parseFlashSize, resolveLayout } from '../flash/layouts.ts';
import { capacityOfId, defaultPart, type FlashPart, partById } from '../flash/parts.ts';
import { DeviceOptionError, type DeviceOptions } from './options.ts';

/** What an idle or broken line reads as: the chip's size comes from elsewhere then. Source: spec chapter 05 §6.2. */
const SILENT_IDS: readonly number[] = [0x000000, 0xffffff, 0xffff3f];

export interface BoardSetup {
  readonly board: Board;
  readonly layout: FlashLayout;
  /** As the user named it: `auto` stays `auto`. */
  readonly layoutName: string;
  /** FLASH_MAP_SUPPORT: the layout was chosen by the chip's size. */
  readonly flashMapSupport: boolean;
  readonly part: FlashPart;
  readonly capacityBytes: number;
}

/** @throws DeviceOptionError for unknown names and impossible sizes */
export function boardSetup(options: DeviceOptions): BoardSetup {
  try {
    const board = boardById(options.board ?? 'nodemcuv2');
    const layoutName = (options.layout ?? board.defaultLayout).toLowerCase();
    const flashMapSupport = layoutName === 'auto' || layoutName.startsWith('auto:');
    const capacityBytes = chipSize(options, board, flashMapSupport ? undefined : layoutByName(layoutName));
    return {
      board,
      layout: resolveLayout(layoutName, capacityBytes),
      layoutName,
      flashMapSupport,
      part: partOf(options.flashId, capacityBytes),
      capacityBytes,
    };
  } catch (error) {
    if (error instanceof RangeError) throw new DeviceOptionError(error.message);
    throw error;
  }
}

function partOf(flashId: number | undefined, capacityBytes: number): FlashPart {
  if (flashId === undefined) return defaultPart(capacityBytes);
  if (!SILENT_IDS.includes(flashId)) return partById(flashId);
  return { ...defaultPart(capacityBytes), name: 'a chip that does not tell its id', jedecId: flashId };
}

/** What was said; else what the id, the layout or the board says, in this order. */
function chipSize(options: DeviceOptions, board: Board, layout: FlashLayout | undefined): number {
  if (options.flashSize !== undefined) {
    return typeof options.flashSize === 'number' ? checked(options.flashSize) : parseFlashSize(options.flashSize);
  }
  if (options.flashId !== undefined && !SILENT_IDS.includes(options.flashId)) {
    return checked(capacityOfId(options.flashId));
  }
  return layout?.chipSize ?? board.defaultFlashSize;
}

function checked(bytes: number): number {
  if (bytes < CHIP_MIN_BYTES || bytes > CHIP_MAX_BYTES || !Number.isInteger(Math.log2(bytes))) {
    throw new DeviceOptionError(`a chip has 512 KiB to 16 MiB, a power of two; got ${bytes} bytes`);
  }
  return bytes;
}
