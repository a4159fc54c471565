/**
 * What file names say to `serve`: kind, version, packing, and which one goes first. Pure. Source: design.md §4 (`serve`).
 *
 * `NAME-VERSION.bin[.gz][.signed]` is a sketch, `NAME-VERSION.fs.bin[.gz][.signed]` a file system. Where a name has several
 * hyphens, design.md leaves open which one begins the version. Here: the last piece that begins with a number and holds a dot
 * (`node-1-1.0`, `esp-12e-fw-2.0-rc1`), else the pieces at the end that begin with a number (`fw-7`, `fw-2024-01-15`).
 */

/** Which flash area an image is for: `sketch` serves the modes `sketch` and `version`, `spiffs` every file system. */
export type ImageSort = 'sketch' | 'spiffs';

/** An image as its file name describes it. */
export interface CatalogueImage {
  readonly fileName: string;
  readonly sort: ImageSort;
  /** `NAME-VERSION`: what the variants of one build (`.bin`, `.bin.gz`, `.bin.signed`) have in common. */
  readonly stem: string;
  /** As written: `1.2`, `v3`, `1.2-rc1`. */
  readonly version: string;
  readonly gzip: boolean;
  readonly signed: boolean;
}

/** What a file system can hold; longer names do not exist. */
export const MAX_FILE_NAME = 255;

const SUFFIX = /^(.+?)(\.fs)?\.bin(\.gz)?(\.signed)?$/i;
/** All of it may stand in a header. */
const VERSION_PIECE = /^[\w.+~]+$/;
const NUMBER_FIRST = /^v?\d/i;
/** Words that say how finished a version is, or git's abbreviated commit. */
const RELEASE_WORD = /^(a|alpha|b|beta|c|rc|pre|preview|dev|snapshot|nightly|build|final|post|g[0-9a-f]{4,40})[\d.]*$/i;

/**
 * Reads a file name.
 *
 * @returns undefined for a dot file, and for a name that is not of the forms above: it is offered only by its whole path
 * @example parseFileName('lamp-1.2.fs.bin.gz') // { sort: 'spiffs', stem: 'lamp-1.2', version: '1.2', gzip: true, … }
 */
export function parseFileName(fileName: string): CatalogueImage | undefined {
  if (fileName.length > MAX_FILE_NAME || fileName.startsWith('.')) return undefined;
  const [, stem, fs, gz, signed] = SUFFIX.exec(fileName) ?? [];
  if (stem === undefined) return undefined;
  const version = versionOf(stem);
  if (version === undefined) return undefined;
  const sort = fs === undefined ? 'sketch' : 'spiffs';
  return { fileName, sort, stem, version, gzip: gz !== undefined, signed: signed !== undefined };
}

/** What `NAME-VERSION` has for a version; NAME has at least one character. */
function versionOf(stem: string): string | undefined {
  const pieces = stem.split('-');
  const nameEnds = pieces.findIndex((piece) => piece !== '') + 1;
  const isNumber = (piece: string | undefined): boolean => piece !== undefined && NUMBER_FIRST.test(piece);
  let first = pieces.findLastIndex((piece) => isNumber(piece) && piece.includes('.'));
  if (first < nameEnds) {
    let end = pieces.length;
    while (end > nameEnds && RELEASE_WORD.test(pieces[end - 1]!) && !isNumber(pieces[end - 1])) end--;
    first = end;
    while (first > nameEnds && isNumber(pieces[first - 1])) first--;
    if (first === end) return undefined;
  }
  if (nameEnds === 0 || first < nameEnds) return undefined;
  const version = pieces.slice(first);
  return version.every((piece) => VERSION_PIECE.test(piece)) ? version.join('-') : undefined;
}

/**
 * Orders versions by their groups of digits, as numbers of any length; where one has more groups it is the higher one
 * (`1.2` < `1.2.0` < `1.10`). Equal groups are equal versions here, whatever stands between them.
 *
 * @returns below 0 when `a` is lower, above 0 when it is higher
 */
export function compareVersions(a: string, b: string): number {
  const left = numberGroups(a);
  const right = numberGroups(b);
  const shared = Math.min(left.length, right.length);
  for (let i = 0; i < shared; i++) {
    const order = compareNumbers(left[i]!, right[i]!);
    if (order !== 0) return order;
  }
  return Math.sign(left.length - right.length);
}

const numberGroups = (version: string): string[] =>
  (version.match(/\d+/g) ?? []).map((digits) => digits.replace(/^0+(?=\d)/, ''));

/** Decimal texts without leading zeros. */
const compareNumbers = (a: string, b: string): number => Math.sign(a.length - b.length) || compareTexts(a, b);

/** By code unit: the same on every machine. */
const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Whether a device that says `current` has `version`; case and a leading `v` do not count. */
export const sameVersion = (current: string, version: string): boolean => plain(current) === plain(version);

const plain = (version: string): string =>
  version
    .trim()
    .toLowerCase()
    .replace(/^v(?=\d)/, '');

/**
 * Total order, best first: the higher version; of versions with equal numbers the shorter text (`1.0` before `1.0-beta`, which
 * has no number more), then the name. Of one build the variant that most devices take: a signature behind a plain image does
 * not harm a device that does not look at it, but behind a gzip it does (spec chapter 01 §11.4).
 */
export function compareImages(a: CatalogueImage, b: CatalogueImage): number {
  return (
    compareVersions(b.version, a.version) ||
    Math.sign(a.version.length - b.version.length) ||
    compareTexts(a.stem, b.stem) ||
    Math.sign(preference(a) - preference(b)) ||
    compareTexts(a.fileName, b.fileName)
  );
}

const preference = ({ gzip, signed }: CatalogueImage): number => (gzip ? (signed ? 3 : 2) : signed ? 0 : 1);

/**
 * The images among the names of one folder, best first, grouped by build.
 *
 * @returns groups of variants, none of them empty
 */
export function imagesOf(names: Iterable<string>, sort: ImageSort): CatalogueImage[][] {
  const images: CatalogueImage[] = [];
  for (const name of names) {
    const image = parseFileName(name);
    if (image?.sort === sort) images.push(image);
  }
  images.sort(compareImages);
  const groups: CatalogueImage[][] = [];
  for (const image of images) {
    const last = groups.at(-1);
    if (last?.[0]?.stem === image.stem) last.push(image);
    else groups.push([image]);
  }
  return groups;
}

/**
 * The folders that belong to a device, among the names of one folder: the MAC with `-` for `:`, in any case.
 *
 * @param mac as in `x-ESP8266-STA-MAC`
 */
export function foldersOf(names: Iterable<string>, mac: string): string[] {
  const wanted = mac.replaceAll(':', '-').toLowerCase();
  const found: string[] = [];
  for (const name of names) if (name.toLowerCase() === wanted) found.push(name);
  return found.sort(compareTexts);
}
