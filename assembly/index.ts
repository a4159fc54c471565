/** The export list of the module: verbs and memory locations, nothing else. */
export { crc32, prepareCrc32 } from './crc32';
export { FIXED_END, MD5_SLOT_BYTES, MD5_SLOT_COUNT, MD5_SLOTS, MD5X4_STATE, TRANSFER, TRANSFER_BYTES } from './layout';
export { md5Blocks, md5Finish, md5Start, md5Update } from './md5';
export { md5x4Blocks, md5x4Start } from './md5x4';
export { copyBytes, equalBytes, isBlank, norErase, norProgram } from './nor';
export {
  storeAt,
  storeCommit,
  storeCopySector,
  storeCrc32,
  storeDrop,
  storeEquals,
  storeErase,
  storeFork,
  storeIsBlank,
  storeMd5Update,
  storeOverwrite,
  storePlace,
  storeProgram,
  storeRead,
  storeRun,
  storeTouched,
  storeTouchedCount,
} from './sectors';
export { tableCopy, tableCrc, tableDifference, tableFork } from './tables';
