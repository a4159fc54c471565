/** Names what a file is when it is no ESP8266 firmware, so that the message can say what to do. */
import { decodeHeader, IMAGE_HEADER_BYTES, IMAGE_MAGIC, IMAGE_MAGIC_V2 } from './image-header.ts';

type Signature = readonly [at: number, text: string, what: string];

/** Texts at fixed places; the first that fits counts. */
const signatures: readonly Signature[] = [
  [0, '\x7fELF', 'an ELF file: give the .bin that is made from it (elf2bin.py, or the build output of the IDE)'],
  [8, 'littlefs', 'a LittleFS file-system image: upload it as a file system, not as a sketch'],
  [0, 'PK\x03\x04', 'a ZIP archive: unpack it and give the .bin inside'],
  [0, 'UF2\n', 'a UF2 file, which is for other chips'],
  [0, ':10', 'an Intel HEX file, which is for other chips'],
  [0, '<!', 'a web page: the download went wrong, take the raw file'],
  [0, '<html', 'a web page: the download went wrong, take the raw file'],
  [0, 'version https://git-lfs', 'a Git LFS pointer: fetch the real file (git lfs pull)'],
  [0, '-----BEGIN ', 'a PEM file: a key or a certificate, not an image'],
];

/**
 * What a file is whose first byte is not 0xE9.
 *
 * @returns a noun phrase with advice; undefined when nothing is known
 */
export function foreignFormat(bytes: Uint8Array): string | undefined {
  for (const [at, text, what] of signatures) {
    let same = bytes.length >= at + text.length;
    for (let i = 0; same && i < text.length; i++) same = bytes[at + i] === text.charCodeAt(i);
    if (same) return what;
  }
  if (bytes[0] === IMAGE_MAGIC_V2) {
    return 'an image for the boot loader of Espressif’s own SDK (user1.bin, user2.bin), which eboot does not start';
  }
  const first = bytes[0];
  if ((first === 0xff || first === 0) && bytes.every((byte) => byte === first)) {
    return `blank: every byte is 0x${first.toString(16).padStart(2, '0')}`;
  }
  return undefined;
}

/**
 * The other chips that use the magic 0xE9. Their entry points and, for the ESP32, the extended header (byte 8 is the
 * write-protect pin, 0xEE for none) have no counterpart on the ESP8266.
 */
export function foreignChip(bytes: Uint8Array): string | undefined {
  if (bytes.length < IMAGE_HEADER_BYTES + 1 || bytes[0] !== IMAGE_MAGIC) return undefined;
  const { entry } = decodeHeader(bytes);
  const esp32 = bytes[8] === 0xee && entry >= 0x40020000;
  const others = (entry >= 0x40020000 && entry < 0x40100000) || (entry >= 0x40370000 && entry < 0x60000000);
  return esp32 || others
    ? `an image for the ESP32 family (entry ${`0x${entry.toString(16)}`}): build for an ESP8266 board`
    : undefined;
}
