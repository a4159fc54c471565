/** The flasher stub that esptool-js uploads, taken from the installed package: real LX106 code for the tests. */
import { readFileSync } from 'node:fs';

export interface FlasherStub {
  readonly entry: number;
  readonly segments: readonly { address: number; data: Uint8Array }[];
}

/** @throws Error when the package has no stub for this chip any more */
export function esptoolStub(): FlasherStub {
  const file = new URL('../../node_modules/esptool-js/lib/targets/stub_flasher/esp8266.json', import.meta.url);
  const stub = JSON.parse(readFileSync(file, 'utf8')) as {
    entry: number;
    text: string;
    text_start: number;
    data: string;
    data_start: number;
  };
  return {
    entry: stub.entry,
    segments: [
      { address: stub.text_start, data: Buffer.from(stub.text, 'base64') },
      { address: stub.data_start, data: Buffer.from(stub.data, 'base64') },
    ],
  };
}
