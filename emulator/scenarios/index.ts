/** The catalogue. Source: spec chapter 06. */
import { latchedStraps, quadMode } from './boot-mode.ts';
import { bootSectorWindow, compareHang, twoSlots, watchdogInCopy, xmcFlash } from './bootloader.ts';
import { lostCommand, powerLostInCopy, resetInCopy } from './copy.ts';
import { alteredFileSystem, crashInFileSystem, movedFileSystem, packedFileSystem } from './file-system.ts';
import { endlessUpdate, packedTooEarly, packedTooLarge, signedAndPacked } from './gzip.ts';
import { md5TooEarly, shortReads, staleMd5, wrongFile } from './images.ts';
import type { Scenario } from './scenario.ts';
import { badBody, connectionRefused, missingMd5Header, wrongHttpCode } from './server.ts';
import { falseOk, signatureFormats, tamperedSignature } from './signatures.ts';
import { halfOfTheFlash, imageForLargerChip, webIgnoresSize, wrongChipSize } from './sizes.ts';
import { firewall, newerUploader, portNotFound, stalledUpload, wrongPassword } from './uploader.ts';
import { formWithoutFile } from './web-form.ts';

export { documentOf } from './document.ts';
export {
  type Act,
  playScenario,
  type Scenario,
  ScenarioFailed,
  type ScenarioResult,
  type StageOptions,
} from './scenario.ts';

/** In the order of the catalogue's rows. */
export const scenarios: readonly Scenario[] = [
  powerLostInCopy,
  resetInCopy,
  bootSectorWindow,
  twoSlots,
  xmcFlash,
  watchdogInCopy,
  compareHang,
  lostCommand,
  latchedStraps,
  quadMode,
  endlessUpdate,
  alteredFileSystem,
  crashInFileSystem,
  packedFileSystem,
  movedFileSystem,
  packedTooEarly,
  signedAndPacked,
  tamperedSignature,
  falseOk,
  signatureFormats,
  wrongChipSize,
  imageForLargerChip,
  halfOfTheFlash,
  packedTooLarge,
  webIgnoresSize,
  wrongFile,
  staleMd5,
  md5TooEarly,
  missingMd5Header,
  wrongPassword,
  firewall,
  stalledUpload,
  wrongHttpCode,
  badBody,
  connectionRefused,
  formWithoutFile,
  portNotFound,
  newerUploader,
  shortReads,
];
