/** Layouts and boards against the machine-readable tables of spec chapter 01 §4 and §5 (test/golden/flash). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { boardById, boards } from '../../flash/boards.ts';
import {
  AUTO_SKETCH_MAX,
  EEPROM_BYTES,
  type FlashLayout,
  formatFlashSize,
  layoutByName,
  layoutNames,
  layouts,
  parseFlashSize,
  RFCAL_BYTES,
  type RuntimeMapKind,
  resolveLayout,
  runtimeMap,
  runtimeMaps,
  WIFI_BYTES,
} from '../../flash/layouts.ts';
import { nearestNames } from '../../flash/names.ts';

const golden = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../golden/flash/${name}`, import.meta.url), 'utf8'));

type Fields = Record<string, unknown>;
const goldenLayouts = golden('flash-layouts.json') as { layouts: Fields[]; runtimeMaps: Record<string, Fields[]> };
const goldenBoards = golden('boards.json') as { boards: Fields[] };

const fixed = layouts.filter(({ name }) => name !== 'auto');
const every: readonly FlashLayout[] = [...fixed, ...Object.values(runtimeMaps).flat()];

describe('layouts', () => {
  test('the table has the fields of all 27 linker scripts, in their order', () => {
    const ours = layouts.map((layout) => {
      if (layout.chipSize === 0) {
        const nothing = Object.keys(goldenLayouts.layouts[0]!).map((key) => [key, null]);
        return { ...Object.fromEntries(nothing), name: 'auto', ld: 'eagle.flash.auto.ld', sketchMax: layout.sketchMax };
      }
      return {
        ...layout,
        ld: `eagle.flash.${layout.name}.ld`,
        emptyStart: layout.sketchMax,
        emptySize: layout.fsStart - layout.sketchMax,
        eepromSize: EEPROM_BYTES,
        rfcalSize: RFCAL_BYTES,
        wifiSize: WIFI_BYTES,
      };
    });
    expect(ours).toEqual(goldenLayouts.layouts);
    expect(ours).toHaveLength(27);
  });

  test.each([
    ['ota-fs', 'FLASH_MAP_OTA_FS', 'auto'],
    ['max-fs', 'FLASH_MAP_MAX_FS', 'auto:max-fs'],
    ['no-fs', 'FLASH_MAP_NO_FS', 'auto:no-fs'],
  ] as const)('the run-time map %s is the table %s', (kind, table, name) => {
    const ours = runtimeMaps[kind].map(({ chipSize, fsStart, fsEnd, fsBlock, fsPage, eepromStart }) => ({
      chipSize,
      fsStart,
      fsEnd,
      fsBlock,
      fsPage,
      eepromStart,
    }));
    expect(ours).toEqual(goldenLayouts.runtimeMaps[table]);
    expect(ours).toHaveLength(6);
    for (const map of runtimeMaps[kind]) {
      expect(map.sketchMax).toBe(AUTO_SKETCH_MAX);
      expect(resolveLayout(name, map.chipSize)).toBe(map);
      expect(runtimeMap(kind, map.chipSize)).toBe(map);
    }
  });

  test('fact 1: the file system ends at the EEPROM with 4 KiB blocks, a sector below it with 8 KiB blocks but for 1m512', () => {
    for (const { name, chipSize, fsBlock, fsEnd, eepromStart } of every) {
      const oddOnes = name === '1m512' || (name === 'auto:max-fs' && chipSize === 0x100000);
      expect(eepromStart - fsEnd, `${name} ${chipSize}`).toBe(fsBlock === 8192 && !oddOnes ? 0x1000 : 0);
    }
  });

  test('fact 2: without a file system everything up to the EEPROM is for staging', () => {
    const without = every.filter(({ fsSize }) => fsSize === 0);
    expect(without.map(({ name }) => name)).toEqual(['512k', '1m', '2m', '4m', ...Array(6).fill('auto:no-fs')]);
    for (const layout of without)
      expect([layout.fsStart, layout.fsEnd]).toEqual([layout.eepromStart, layout.eepromStart]);
  });

  test('fact 3: staging may use more than the largest sketch: 0x200000 on 4m2m, 0x100000 on 4m3m', () => {
    expect(layoutByName('4m2m').fsStart).toBe(0x200000);
    expect(layoutByName('4m3m').fsStart).toBe(0x100000);
    for (const { fsStart, sketchMax } of fixed) expect(fsStart).toBeGreaterThan(sketchMax);
  });

  test('fact 4: code from 0x1010 on ends at the file system or at the end of the mapped MiB', () => {
    for (const { name, fsStart, sketchMax } of fixed)
      expect(0x1010 + sketchMax, name).toBe(Math.min(fsStart, 0x100000));
  });

  test('a file system holds whole blocks, and the areas behind it fill the chip', () => {
    for (const layout of every) {
      if (layout.fsBlock > 0) expect(layout.fsSize % layout.fsBlock).toBe(0);
      expect(layout.fsEnd - layout.fsStart).toBe(layout.fsSize);
      expect(layout.eepromStart + EEPROM_BYTES).toBe(layout.rfcalStart);
      expect(layout.rfcalStart + RFCAL_BYTES).toBe(layout.wifiStart);
      expect(layout.wifiStart + WIFI_BYTES).toBe(layout.chipSize);
    }
  });

  test('every name resolves, upper case too, whatever the chip', () => {
    for (const name of layoutNames) expect(resolveLayout(name.toUpperCase(), 0x400000).name).toBe(name);
    expect(resolveLayout('1m64', 0x400000)).toBe(layoutByName('1M64'));
    expect(resolveLayout('auto:ota-fs', 0x400000)).toBe(resolveLayout('auto', 0x400000));
  });

  test.each([
    ['4m2n', /unknown layout "4m2n"; did you mean 4m2m/],
    ['4m', undefined],
    ['', /unknown layout "" \(known: 512k /],
    ['8m', /not shipped.*8m6m and 8m7m/],
    ['16M', /not shipped.*16m14m and 16m15m/],
    ['auto:fs', /unknown layout/],
    ['x'.repeat(10_000), /^unknown layout "x{64}" /],
  ])('layout "%.20s" is found or refused with a hint', (name, message) => {
    if (message) expect(() => resolveLayout(name, 0x400000)).toThrow(message);
    else expect(resolveLayout(name, 0x400000).name).toBe(name);
  });

  test('auto needs a chip, and one that the core has a map for', () => {
    expect(() => layoutByName('auto')).toThrow(/depends on the size of the chip/);
    expect(() => resolveLayout('auto', 0x40000)).toThrow(/flashinit: configuration not found/);
    for (const kind of Object.keys(runtimeMaps)) expect(runtimeMap(kind as RuntimeMapKind, 0x40000)).toBeUndefined();
  });

  test('flash sizes: six texts and no other', () => {
    const sizes = ['512K', '1M', '2M', '4M', '8M', '16M'];
    expect(sizes.map(parseFlashSize)).toEqual([0x80000, 0x100000, 0x200000, 0x400000, 0x800000, 0x1000000]);
    expect(sizes.map((text) => formatFlashSize(parseFlashSize(text)))).toEqual(sizes);
    expect(parseFlashSize(' 4mb ')).toBe(0x400000);
    expect(parseFlashSize('1024K')).toBe(0x100000);
    for (const text of ['', '4', '3M', '256K', '32M', '0M', '-4M', '4Mi', '4 M', '4M2M', '4G', '99999K']) {
      expect(() => parseFlashSize(text), text).toThrow(/one of 512K, 1M, 2M, 4M, 8M, 16M/);
    }
  });

  test('near names: nearest first, none when nothing is near', () => {
    expect(
      nearestNames(
        'nodemcu2',
        boards.map(({ id }) => id),
      ),
    ).toContain('nodemcuv2');
    expect(
      nearestNames(
        'd1mini',
        boards.map(({ id }) => id),
      ),
    ).toContain('d1_mini');
    expect(
      nearestNames(
        'arduino',
        boards.map(({ id }) => id),
      ),
    ).toEqual(['arduino-esp8266']);
    expect(
      nearestNames(
        'esp32-s3-devkit',
        boards.map(({ id }) => id),
      ),
    ).toEqual([]);
  });
});

describe('boards', () => {
  /** The fields of boards.json, put together from ours and the layouts. */
  const asGolden = boards.map((board) => ({
    id: board.id,
    name: board.name,
    boardMacro: board.boardMacro,
    variant: board.variant,
    defaultFlashSize: board.defaultFlashSize,
    defaultLayout: board.defaultLayout,
    flashMode: board.flashMode,
    flashModeChoices: board.flashModeChoices,
    flashFreqMHz: board.flashFreqMHz,
    flashFreqChoices: board.flashFreqChoices,
    ledBuiltin: board.ledBuiltin ?? null,
    ledChoices: board.ledChoices,
    resetMethod: board.resetMethod,
    layouts: board.menu.map((entry) => {
      const layout = entry.layout === undefined || entry.layout === 'auto' ? undefined : layoutByName(entry.layout);
      const fs = layout && layout.fsSize > 0 ? layout : undefined;
      return {
        menuId: entry.menuId,
        label: entry.label,
        layout: entry.layout ?? null,
        ld: `eagle.flash.${entry.layout ?? entry.menuId.toLowerCase()}.ld`,
        flashSize: entry.flashSize,
        rfcalStart: entry.layout === 'auto' ? null : (layout?.rfcalStart ?? entry.flashSize - 0x4000),
        fsStart: fs?.fsStart ?? null,
        fsEnd: fs?.fsEnd ?? null,
        fsBlock: fs?.fsBlock ?? null,
        ldMissing: entry.ldMissing,
      };
    }),
  }));

  test('the table has every field of all 39 boards, in their order', () => {
    const expected = goldenBoards.boards.map(({ models: _models, defaultModel: _default, ...rest }) => rest);
    expect(asGolden).toEqual(expected);
    expect(boards).toHaveLength(39);
    expect(boards.flatMap(({ menu }) => menu)).toHaveLength(266);
  });

  test('the model menus are those of the three boards that have one', () => {
    const withModels = goldenBoards.boards.filter(({ models }) => models !== null);
    expect(boards.filter(({ models }) => models.length > 0).map(({ id }) => id)).toEqual(
      withModels.map(({ id }) => id),
    );
    for (const expected of withModels) {
      const { models } = boardById(String(expected['id']));
      expect(models[0]!.id).toBe(expected['defaultModel']);
      const listed = expected['models'] as Record<string, Fields>;
      expect(models.map(({ id }) => id)).toEqual(Object.keys(listed));
      for (const model of models) {
        const layout = model.layout === undefined ? undefined : layoutByName(model.layout);
        const ours: Fields = {
          name: model.name,
          'build.board': model.boardMacro,
          'build.variant': model.variant,
          'build.extra_flags': model.extraFlags,
          ledBuiltin: model.ledBuiltin,
          layout: model.layout,
          'build.flash_ld': layout && `eagle.flash.${layout.name}.ld`,
          'build.flash_size': layout && formatFlashSize(layout.chipSize),
          'build.spiffs_blocksize': layout && String(layout.fsBlock),
          'build.spiffs_start': layout && `0x${layout.fsStart.toString(16).toUpperCase()}`,
          'build.spiffs_end': layout && `0x${(model.menuFsEnd ?? layout.fsEnd).toString(16).toUpperCase()}`,
          'upload.maximum_size': layout && String(layout.sketchMax),
        };
        // The core's own table names a page size for one of the two only.
        if ('build.spiffs_pagesize' in listed[model.id]!) ours['build.spiffs_pagesize'] = String(layout?.fsPage);
        const present = Object.fromEntries(Object.entries(ours).filter(([, value]) => value !== undefined));
        expect(present, `${expected['id']} ${model.id}`).toEqual(listed[model.id]);
      }
    }
  });

  test('a board is found by its id, case free, or refused with near ones', () => {
    for (const board of boards) expect(boardById(board.id.toUpperCase())).toBe(board);
    expect(boardById('nodemcuv2').layouts).toEqual(['4m2m', '4m3m', '4m1m', '4m', 'auto']);
    expect(boardById('generic').layouts).not.toContain('8m');
    expect(() => boardById('nodemcu_v2')).toThrow(/unknown board "nodemcu_v2"; did you mean nodemcuv2/);
    expect(() => boardById('')).toThrow(/unknown board/);
  });

  test('every layout on a menu resolves on the chip that the entry is for', () => {
    for (const { id, menu } of boards) {
      for (const { layout, flashSize, menuId } of menu) {
        if (layout !== undefined) expect(resolveLayout(layout, flashSize).chipSize, `${id} ${menuId}`).toBe(flashSize);
      }
    }
  });
});
