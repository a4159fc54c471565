/**
 * The boards of the core: what a user chooses in a menu, and what follows from it. Source: spec chapter 01 §5 (`boards.txt`).
 *
 * Every board also offers `autoflash`. The first entry of each menu is its default. A test compares every field with the
 * machine-readable table of that chapter.
 */
import { layoutByName, parseFlashSize } from './layouts.ts';
import { unknownName } from './names.ts';

export type FlashModeName = 'qio' | 'qout' | 'dio' | 'dout';

/** One entry of a board's flash menu. */
export interface BoardLayout {
  /** As in the menu and in an FQBN (`eesz=4M2M`). */
  readonly menuId: string;
  readonly label: string;
  /** Name for `layoutByName` (`auto` for `resolveLayout`). Absent when the linker script is not shipped: it cannot be built. */
  readonly layout?: string;
  readonly ldMissing: boolean;
  /** Bytes that the image header will say: 16 MiB for `autoflash`, whatever the chip. */
  readonly flashSize: number;
}

/** One entry of a board's model menu; what it leaves out is as the board says. */
export interface BoardModel {
  readonly id: string;
  readonly name: string;
  readonly boardMacro: string;
  readonly variant?: string;
  readonly extraFlags?: string;
  readonly ledBuiltin?: number;
  /** Sets the layout instead of the flash menu. */
  readonly layout?: string;
  /** End of the file system for upload tools where it differs from the layout's: an oddity of the core's table. */
  readonly menuFsEnd?: number;
}

export interface Board {
  /** As in an FQBN: `esp8266:esp8266:nodemcuv2`. */
  readonly id: string;
  readonly name: string;
  /** `ARDUINO_` plus this is defined when a sketch is compiled; ArduinoOTA advertises it. */
  readonly boardMacro: string;
  readonly variant: string;
  /** Bytes, of the default layout's chip. */
  readonly defaultFlashSize: number;
  readonly defaultLayout: string;
  /** Layouts that a sketch can be built for, in the order of the menu; `auto` last. */
  readonly layouts: readonly string[];
  /** The whole flash menu, with the entries that cannot be built. */
  readonly menu: readonly BoardLayout[];
  readonly flashMode: FlashModeName;
  /** Empty: the mode is fixed. */
  readonly flashModeChoices: readonly FlashModeName[];
  readonly flashFreqMHz: number;
  /** Empty: the frequency is fixed. */
  readonly flashFreqChoices: readonly number[];
  /** GPIO; absent when the variant names none. */
  readonly ledBuiltin?: number;
  /** Empty: the LED is fixed. */
  readonly ledChoices: readonly number[];
  /** esptool's arguments. `no_reset`: no auto-reset wiring, so the straps keep saying "UART boot" after a serial upload. */
  readonly resetMethod: string;
  /** Empty: no such menu. The first is the default. */
  readonly models: readonly BoardModel[];
}

/** Menu id and label. Labels are the core's, also where its estimate for OTA does not follow from the layout. */
const menuLabels: Readonly<Record<string, readonly (readonly [menuId: string, label: string])[]>> = {
  '512K': [
    ['512K32', '512KB (FS:32KB OTA:~230KB)'],
    ['512K64', '512KB (FS:64KB OTA:~214KB)'],
    ['512K128', '512KB (FS:128KB OTA:~182KB)'],
    ['512K', '512KB (FS:none OTA:~246KB)'],
  ],
  '1M': [
    ['1M64', '1MB (FS:64KB OTA:~470KB)'],
    ['1M128', '1MB (FS:128KB OTA:~438KB)'],
    ['1M144', '1MB (FS:144KB OTA:~430KB)'],
    ['1M160', '1MB (FS:160KB OTA:~422KB)'],
    ['1M192', '1MB (FS:192KB OTA:~406KB)'],
    ['1M256', '1MB (FS:256KB OTA:~374KB)'],
    ['1M512', '1MB (FS:512KB OTA:~246KB)'],
    ['1M', '1MB (FS:none OTA:~502KB)'],
  ],
  '2M': [
    ['2M64', '2MB (FS:64KB OTA:~992KB)'],
    ['2M128', '2MB (FS:128KB OTA:~960KB)'],
    ['2M256', '2MB (FS:256KB OTA:~896KB)'],
    ['2M512', '2MB (FS:512KB OTA:~768KB)'],
    ['2M1M', '2MB (FS:1MB OTA:~512KB)'],
    ['2M', '2MB (FS:none OTA:~1019KB)'],
  ],
  '4M': [
    ['4M2M', '4MB (FS:2MB OTA:~1019KB)'],
    ['4M3M', '4MB (FS:3MB OTA:~512KB)'],
    ['4M1M', '4MB (FS:1MB OTA:~1019KB)'],
    ['4M', '4MB (FS:none OTA:~1019KB)'],
  ],
  '8M': [
    ['8M6M', '8MB (FS:6MB OTA:~1019KB)'],
    ['8M7M', '8MB (FS:7MB OTA:~512KB)'],
    ['8M', '8MB (FS:none OTA:~1019KB)'],
  ],
  '16M': [
    ['16M14M', '16MB (FS:14MB OTA:~1019KB)'],
    ['16M15M', '16MB (FS:15MB OTA:~512KB)'],
    ['16M', '16MB (FS:none OTA:~1019KB)'],
  ],
};

/** Menu entries whose linker scripts the core does not ship. Source: spec chapter 01 §4 fact 5. */
const missingLayouts: ReadonlySet<string> = new Set(['8M', '16M']);

const autoflash: BoardLayout = {
  menuId: 'autoflash',
  label: 'Mapping defined by Hardware and Sketch',
  layout: 'auto',
  ldMissing: false,
  flashSize: parseFlashSize('16M'),
};

const modeMenu: readonly FlashModeName[] = ['dout', 'dio', 'qout', 'qio'];
const freqMenu: readonly number[] = [40, 80, 20, 26];
const anyLed: readonly number[] = [2, 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

const arduinoEsp8266Models: readonly BoardModel[] = [
  {
    id: 'primo',
    name: 'Primo',
    boardMacro: 'ESP8266_ARDUINO_PRIMO',
    variant: 'arduino_spi',
    extraFlags: '-DF_CRYSTAL=40000000',
    ledBuiltin: 2,
  },
  {
    id: 'starottodeved',
    name: 'Star OTTO',
    boardMacro: 'ESP8266_ARDUINO_STAR_OTTO',
    variant: 'arduino_uart',
    extraFlags: '-DF_CRYSTAL=40000000',
    ledBuiltin: 14,
  },
  {
    id: 'unowifideved',
    name: 'Uno WiFi',
    boardMacro: 'ESP8266_ARDUINO_UNOWIFI',
    variant: 'arduino_uart',
    extraFlags: '-DF_CRYSTAL=40000000',
    ledBuiltin: 14,
  },
];

const sonoffModels: readonly BoardModel[] = [
  { id: 'sonoffBasic', name: 'ITEAD Sonoff Basic', boardMacro: 'ESP8266_SONOFF_BASIC' },
  { id: 'sonoffS20', name: 'ITEAD Sonoff S20', boardMacro: 'ESP8266_SONOFF_S20' },
  { id: 'sonoffSV', name: 'ITEAD Sonoff SV', boardMacro: 'ESP8266_SONOFF_SV' },
  { id: 'sonoffTH', name: 'ITEAD Sonoff TH', boardMacro: 'ESP8266_SONOFF_TH' },
];

const wifinfoModels: readonly BoardModel[] = [
  { id: 'ESP07192', name: 'ESP07 (1M/192K FS)', boardMacro: 'ESP8266_ESP07', layout: '1m192' },
  { id: 'ESP12', name: 'ESP12 (4M/1M FS)', boardMacro: 'ESP8266_ESP12', layout: '4m1m', menuFsEnd: 0x3fb000 },
];

/** What a board has that most do not. */
interface Extras {
  modeMenu?: boolean;
  freqMenu?: boolean;
  leds?: readonly number[];
  /** No auto-reset wiring. */
  byHand?: boolean;
  models?: readonly BoardModel[];
}

type Row = readonly [
  id: string,
  name: string,
  boardMacro: string,
  variant: string,
  /** Groups of the flash menu, in order. */
  menus: string,
  flashMode: FlashModeName,
  flashFreqMHz: number,
  ledBuiltin: number | null,
  extras?: Extras,
];

const table: readonly Row[] = [
  [
    'generic',
    'Generic ESP8266 Module',
    'ESP8266_GENERIC',
    'generic',
    'all',
    'dout',
    40,
    2,
    { modeMenu: true, freqMenu: true, leds: anyLed },
  ],
  ['esp8285', 'Generic ESP8285 Module', 'ESP8266_ESP01', 'esp8285', '1M 2M', 'dout', 40, 2, { leds: anyLed }],
  ['gen4iod', '4D Systems gen4 IoD Range', 'GEN4_IOD', 'generic', '2M 512K', 'dout', 80, 1, { modeMenu: true }],
  ['huzzah', 'Adafruit Feather HUZZAH ESP8266', 'ESP8266_ADAFRUIT_HUZZAH', 'adafruit', '4M', 'qio', 40, 0],
  [
    'wifi_slot',
    'Amperka WiFi Slot',
    'AMPERKA_WIFI_SLOT',
    'wifi_slot',
    '1M 2M',
    'dout',
    40,
    2,
    { modeMenu: true, freqMenu: true },
  ],
  [
    'arduino-esp8266',
    'Arduino',
    'ESP8266_ARDUINO_PRIMO',
    'arduino_spi',
    '4M',
    'qio',
    40,
    2,
    { byHand: true, models: arduinoEsp8266Models },
  ],
  ['espmxdevkit', 'DOIT ESP-Mx DevKit (ESP8285)', 'ESP8266_ESP01', 'esp8285', '1M', 'dout', 40, 16],
  ['oak', 'Digistump Oak', 'ESP8266_OAK', 'oak', '4M', 'dio', 40, 5, { byHand: true }],
  ['espduino', 'ESPDuino (ESP-13 Module)', 'ESP8266_ESP13', 'ESPDuino', '4M', 'dio', 40, 16, { byHand: true }],
  ['espectro', 'ESPectro Core', 'ESP8266_ESPECTRO_CORE', 'espectro', '4M', 'dio', 40, 15],
  ['espino', 'ESPino (ESP-12 Module)', 'ESP8266_ESPINO_ESP12', 'espino', '4M', 'qio', 40, 2],
  ['espresso_lite_v1', 'ESPresso Lite 1.0', 'ESP8266_ESPRESSO_LITE_V1', 'espresso_lite_v1', '4M', 'dio', 40, 16],
  ['espresso_lite_v2', 'ESPresso Lite 2.0', 'ESP8266_ESPRESSO_LITE_V2', 'espresso_lite_v2', '4M', 'dio', 40, 2],
  [
    'sonoff',
    'ITEAD Sonoff',
    'ESP8266_SONOFF_BASIC',
    'itead',
    '1M',
    'dout',
    40,
    13,
    { byHand: true, models: sonoffModels },
  ],
  ['inventone', 'Invent One', 'ESP8266_INVENT_ONE', 'inventone', '4M', 'dio', 40, 2],
  ['d1_wroom_02', 'LOLIN(WEMOS) D1 ESP-WROOM-02', 'ESP8266_WEMOS_D1WROOM02', 'd1_mini', '2M', 'dio', 26, 2],
  ['d1_mini', 'LOLIN(WEMOS) D1 R2 & mini', 'ESP8266_WEMOS_D1MINI', 'd1_mini', '4M', 'dio', 40, 2],
  [
    'd1_mini_clone',
    'LOLIN(WEMOS) D1 mini (clone)',
    'ESP8266_WEMOS_D1MINI',
    'd1_mini',
    '4M',
    'dout',
    40,
    2,
    { modeMenu: true, freqMenu: true },
  ],
  ['d1_mini_lite', 'LOLIN(WEMOS) D1 mini Lite', 'ESP8266_WEMOS_D1MINILITE', 'd1_mini', '1M', 'dout', 40, 2],
  ['d1_mini_pro', 'LOLIN(WEMOS) D1 mini Pro', 'ESP8266_WEMOS_D1MINIPRO', 'd1_mini', '16M', 'dio', 40, 2],
  ['d1', 'LOLIN(WeMos) D1 R1', 'ESP8266_WEMOS_D1R1', 'd1', '4M', 'dio', 40, 2],
  ['agruminolemon', 'Lifely Agrumino Lemon v4', 'ESP8266_AGRUMINO_LEMON_V4', 'agruminolemonv4', '2M', 'dio', 40, 2],
  ['mercury', 'Mercury', 'mercury', 'mercury', '4M', 'dio', 40, 2],
  ['nodemcu', 'NodeMCU 0.9 (ESP-12 Module)', 'ESP8266_NODEMCU_ESP12', 'nodemcu', '4M', 'qio', 40, 2],
  [
    'nodemcuv2',
    'NodeMCU 1.0 (ESP-12E Module)',
    'ESP8266_NODEMCU_ESP12E',
    'nodemcu',
    '4M',
    'dio',
    40,
    2,
    { leds: [2, 16] },
  ],
  ['modwifi', 'Olimex MOD-WIFI-ESP8266(-DEV)', 'MOD_WIFI_ESP8266', 'modwifi', '2M', 'dout', 40, 1, { modeMenu: true }],
  ['phoenix_v1', 'Phoenix 1.0', 'ESP8266_PHOENIX_V1', 'phoenix_v1', '4M', 'dio', 40, 16],
  ['phoenix_v2', 'Phoenix 2.0', 'ESP8266_PHOENIX_V2', 'phoenix_v2', '4M', 'dio', 40, 2],
  ['eduinowifi', 'Schirmilabs Eduino WiFi', 'ESP8266_SCHIRMILABS_EDUINO_WIFI', 'eduinowifi', '4M', 'dio', 40, 2],
  ['wiolink', 'Seeed Wio Link', 'ESP8266_WIO_LINK', 'wiolink', '4M', 'qio', 40, 2],
  ['blynk', 'SparkFun Blynk Board', 'ESP8266_THING', 'thing', '4M', 'qio', 40, 5],
  ['thing', 'SparkFun ESP8266 Thing', 'ESP8266_THING', 'thing', '512K', 'qio', 40, 5, { byHand: true }],
  ['thingdev', 'SparkFun ESP8266 Thing Dev', 'ESP8266_THING_DEV', 'thing', '512K', 'dio', 40, 5],
  ['esp210', 'SweetPea ESP-210', 'ESP8266_ESP210', 'generic', '4M', 'qio', 40, 1, { byHand: true }],
  ['espinotee', "ThaiEasyElec's ESPino", 'ESP8266_ESPINO_ESP13', 'espinotee', '4M', 'qio', 40, 16],
  ['wifi_kit_8', 'WiFi Kit 8', 'wifi_kit_8', 'wifi_kit_8', '4M', 'dio', 40, null],
  ['wifiduino', 'WiFiduino', 'WIFIDUINO_ESP8266', 'wifiduino', '4M', 'dio', 40, 2],
  ['wifinfo', 'WifInfo', 'ESP8266_ESP07', 'wifinfo', '1M', 'qio', 40, 12, { freqMenu: true, models: wifinfoModels }],
  ['cw01', 'XinaBox CW01', 'ESP8266_XINABOX_CW01', 'xinabox', '4M', 'dio', 40, 5],
];

const menuEntry = ([menuId, label]: readonly [string, string]): BoardLayout => {
  const flashSize = parseFlashSize(/^\d+[KM]/.exec(menuId)![0]);
  if (missingLayouts.has(menuId)) return { menuId, label, ldMissing: true, flashSize };
  return { menuId, label, layout: layoutByName(menuId).name, ldMissing: false, flashSize };
};

function boardOf([id, name, boardMacro, variant, menus, flashMode, flashFreqMHz, led, extras = {}]: Row): Board {
  const groups = menus === 'all' ? ['1M', '2M', '4M', '8M', '16M', '512K'] : menus.split(' ');
  const menu = [...groups.flatMap((group) => menuLabels[group]!.map(menuEntry)), autoflash];
  const layouts = menu.flatMap(({ layout }) => layout ?? []);
  return {
    id,
    name,
    boardMacro,
    variant,
    defaultFlashSize: menu[0]!.flashSize,
    defaultLayout: layouts[0]!,
    layouts,
    menu,
    flashMode,
    flashModeChoices: extras.modeMenu ? modeMenu : [],
    flashFreqMHz,
    flashFreqChoices: extras.freqMenu ? freqMenu : [],
    ...(led === null ? {} : { ledBuiltin: led }),
    ledChoices: extras.leds ?? [],
    resetMethod: extras.byHand ? '--before no_reset --after soft_reset' : '--before default_reset --after hard_reset',
    models: extras.models ?? [],
  };
}

/** All 39 boards, in the order of the core's menu. */
export const boards: readonly Board[] = table.map(boardOf);

const byId = new Map(boards.map((board) => [board.id.toLowerCase(), board]));

/**
 * A board by its id, case free.
 *
 * @throws RangeError for another id, with the nearest ones
 * @example boardById('nodemcuv2').defaultLayout // '4m2m'
 */
export function boardById(id: string): Board {
  const board = byId.get(id.toLowerCase());
  if (!board) throw unknownName('board', id, [...boards.map((known) => known.id)]);
  return board;
}
