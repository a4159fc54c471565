/**
 * What the update services of older cores did otherwise. Without an era they behave as `master`, which chapters 02 to 04 of
 * the spec describe. Source of each difference: the row of spec chapter 06 named with it; where the row gives no release, the
 * first one after the thread is taken, and nothing but the row is modelled.
 */

export interface ServiceEra {
  /** Sketches packed with gzip are taken; before 2.7.0 their first byte is a wrong magic byte. Row 17; chapter 07 §8.2. */
  readonly gzip: boolean;
  /**
   * Which images get the flash mode of the running sketch in their third byte: none before 2.4.2 (row 11), whatever comes
   * before 2.7.0, file systems too (row 13), sketches since.
   */
  readonly patchesMode: 'nothing' | 'everything' | 'sketches';
  /** `begin` refuses while the strap number says UART download (error 11): since 2.4.0. Rows 9 and 10. */
  readonly checksStraps: boolean;
  /** `begin` forgets the MD5 of an update that was broken off: since 3.0.0. Row 28. */
  readonly forgetsMd5: boolean;
  /** A signature that does not match is refused; in 2.6.x it is a crash. Row 19. */
  readonly survivesBadSignature: boolean;
  /** Signatures hold the bare digest, without DigestInfo: up to 2.5.2. Row 21; chapter 02 §7.2. */
  readonly legacySignatures: boolean;
  /** httpUpdate sends `x-ESP8266-sketch-md5`: since 2.4.0. Row 30. */
  readonly sendsSketchMd5: boolean;
}

/** `master`, and what every service does unless told otherwise. */
export const PRESENT_ERA: ServiceEra = {
  gzip: true,
  patchesMode: 'sketches',
  checksStraps: true,
  forgetsMd5: true,
  survivesBadSignature: true,
  legacySignatures: false,
  sendsSketchMd5: true,
};

/**
 * The services that a release of the core ships.
 *
 * @param core a release such as `2.7.4`, or `master`
 * @throws RangeError for any other text
 * @example serviceEraOf('2.6.3').gzip // false
 */
export function serviceEraOf(core: string): ServiceEra {
  if (core === 'master') return PRESENT_ERA;
  const version = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(core)?.slice(1).map(Number);
  if (!version) throw new RangeError(`core "${core}": wants a release such as 2.7.4, or master`);
  const since = (release: readonly [number, number, number]): boolean => {
    const differing = version.findIndex((part, index) => part !== release[index]);
    return differing < 0 || version[differing]! > release[differing]!;
  };
  return {
    gzip: since([2, 7, 0]),
    patchesMode: since([2, 7, 0]) ? 'sketches' : since([2, 4, 2]) ? 'everything' : 'nothing',
    checksStraps: since([2, 4, 0]),
    forgetsMd5: since([3, 0, 0]),
    survivesBadSignature: since([2, 7, 0]) || !since([2, 6, 0]),
    legacySignatures: !since([2, 6, 0]),
    sendsSketchMd5: since([2, 4, 0]),
  };
}
