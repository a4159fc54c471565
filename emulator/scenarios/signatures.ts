/** Signed images. Source: spec chapter 06, rows 19 to 21; chapter 02 §7.2. */

import { signImage } from '../signing.ts';
import type { SketchFactory } from '../sketches/sketch.ts';
import { PRIVATE_KEY, PUBLIC_KEY } from './keys.ts';
import { uploadAndListen } from './peers.ts';
import type { Scenario } from './scenario.ts';

const SIGNATURE_BYTES = 256;
const TRAILER_BYTES = SIGNATURE_BYTES + 4;
const SIZE = 40_000;
/** About the smallest there is, for 260 updates in a row. */
const SMALL = 6_000;

export const tamperedSignature: Scenario = {
  name: 'tampered-signature',
  rows: [19],
  title: 'an image with a damaged signature is not refused: the device crashes',
  threads: '#7145',
  cause:
    'cores of 2.6 crash when a signature of the right length does not match; only a wrong length is refused. The old ' +
    'firmware survives, but anybody who can reach the device can restart it as often as they like.',
  cure: 'core 2.7.0 or newer: each of the 260 bytes behind the image may be damaged, and each time the answer is ERROR[12]',
  assumed:
    'the kind of the exception, of which the thread says "wdt or various crashes"; and that 2.6.0 was the first such core, as ' +
    'the thread is from March 2020 and earlier ones report a plain refusal',
  async play(stage) {
    const file = (core: string) => signImage(stage.image({ version: '2.0', core, size: SIZE }), PRIVATE_KEY);
    const tampered = (core: string, fromEnd: number): Uint8Array => {
      const bytes = file(core).slice();
      bytes[bytes.length - fromEnd]! ^= 1;
      return bytes;
    };
    const make = (core: string) =>
      stage.device({ image: stage.image({ version: '1.0', core, size: SIZE }), publicKey: PUBLIC_KEY }, 'arduino-ota');
    stage.step('firmware of core 2.6.3 gets an image of whose signature one bit is wrong');
    const old = await make('2.6.3');
    const { ok, error } = await stage.update(old, { path: 'arduino-ota', image: tampered('2.6.3', TRAILER_BYTES) });
    await stage.settled(old);
    stage.symptom(
      !ok && old.serial.text().includes('Exception ('),
      `the uploader sees "${error}"; the serial line shows "${/Exception \(\d+\)/.exec(old.serial.text())?.[0]}"`,
    );
    const short = await stage.update(old, { path: 'arduino-ota', image: tampered('2.6.3', 1) });
    stage.evidence(
      short.error?.endsWith('ERROR[12]: Signature verification failed') && stage.running(old) === '1.0',
      'one wrong bit in the length behind it instead: ERROR[12], no crash; version 1.0 still runs',
    );

    stage.step('the present core: each of the 260 bytes behind the image is damaged in turn');
    const codes: number[] = [];
    const signed = signImage(stage.image({ version: '2.0', size: SMALL }), PRIVATE_KEY);
    // One after the other, without the way over the network.
    const trial: SketchFactory = ({ Update }) => ({
      async setup() {
        for (let fromEnd = 1; fromEnd <= TRAILER_BYTES; fromEnd++) {
          const bytes = signed.slice();
          bytes[bytes.length - fromEnd]! ^= 1;
          await Update.begin(bytes.length);
          await Update.write(bytes);
          await Update.end();
          codes.push(Update.getError());
        }
      },
    });
    const image = stage.image({ version: '1.0', sketch: 'trial', size: SIZE });
    const tough = await stage.device({ image, publicKey: PUBLIC_KEY, alter: { sketches: { trial } } });
    stage.cured(
      codes.length === TRAILER_BYTES &&
        codes.every((code) => code === 12) &&
        tough.events.recent('app.crash').length === 0,
      `${TRAILER_BYTES} updates, ${TRAILER_BYTES} times ERROR[12], no crash`,
    );
    stage.cured(
      (await stage.update(await make('master'), { path: 'arduino-ota', image: file('master') })).ok,
      'and the undamaged image is taken',
    );
  },
};

/** What espota.py makes of the device's last words. Source: spec chapter 03 §11.1, step 10. */
const readers = {
  /** Before the thread: it waits for an O. */
  old: (heard: string): string => (heard.includes('O') ? 'Result: OK' : 'No Result!'),
  /** Today: an E goes first. */
  present: (heard: string): string => {
    const error = heard.indexOf('E');
    return error >= 0 ? heard.slice(error).trimEnd() : heard.includes('O') ? 'Result: OK' : 'No Result!';
  },
};

export const falseOk: Scenario = {
  name: 'false-ok',
  rows: [20],
  title: 'espota.py says OK, but the device has rejected the unsigned image',
  threads: '#7162',
  cause:
    'the old espota.py waited for an answer with a letter O in it, and took that for OK. The word ERROR has one, too.',
  cure: 'the espota.py that comes with a present core: it looks for an E first, and shows what the device said',
  assumed: 'that the old tool looked for nothing but an O; the thread shows its result only',
  async play(stage) {
    const options = { image: stage.image({ version: '1.0', size: SIZE }), publicKey: PUBLIC_KEY };
    const device = await stage.device(options, 'arduino-ota');
    stage.step('firmware that wants signatures gets an image without');
    const heard = await uploadAndListen(stage, device, stage.image({ version: '2.0', size: SIZE }));
    const words = heard.replace(/^\d+/, '');
    stage.symptom(
      readers.old(words) === 'Result: OK' && device.serial.text().includes('Error[4]: End Failed'),
      'the old espota.py prints "Result: OK"; the serial line shows "Error[4]: End Failed"',
    );
    stage.evidence(
      words === 'ERROR[12]: Signature verification failed\n',
      `behind the acknowledgements the device wrote "${words.trimEnd()}": the O is the one in ERROR`,
    );
    stage.evidence(
      stage.running(device) === '1.0' && stage.last(device, 'update.error').code === 12,
      'version 1.0 still runs',
    );
    stage.step('the same answer in the eyes of the present tool');
    stage.cured(readers.present(words) === words.trimEnd(), `it prints "${readers.present(words)}" and exits with 1`);
    const good = await uploadAndListen(
      stage,
      device,
      signImage(stage.image({ version: '2.0', size: SIZE }), PRIVATE_KEY),
    );
    stage.cured(
      readers.present(good.replace(/^\d+/, '')) === 'Result: OK',
      'and "Result: OK" when the image is signed',
    );
  },
};

export const signatureFormats: Scenario = {
  name: 'signature-formats',
  rows: [21],
  title: 'the signature fails although the image was signed with the right key',
  threads: '#5875, #8707',
  cause:
    'there are two kinds of signature in a file of the same form. Up to core 2.5.2 the signature holds the bare digest, since ' +
    'then the digest with its name in front of it. Firmware of either kind refuses the other.',
  cure:
    'sign for the core that runs on the device, not for the one that comes: signing.py writes the old kind with --legacy, into ' +
    'firmware.bin.legacy_sig',
  assumed: 'that 2.6.0 is the first core with the new kind: chapter 02 says "cores up to 2.5.2"',
  async play(stage) {
    const outcome = async (core: string, legacy: boolean) => {
      const from = stage.image({ version: '1.0', core, size: SIZE });
      const device = await stage.device({ image: from, publicKey: PUBLIC_KEY }, 'arduino-ota');
      const image = signImage(stage.image({ version: '2.0', core, size: SIZE }), PRIVATE_KEY, { legacy });
      const { ok, error } = await stage.update(device, { path: 'arduino-ota', image });
      if (ok) await stage.settled(device);
      return { ok, error, version: stage.running(device) };
    };
    stage.step('both kinds of signature on firmware of both kinds');
    const refused = [await outcome('2.5.2', false), await outcome('master', true)];
    stage.symptom(
      refused.every(({ error }) => error?.endsWith('ERROR[12]: Signature verification failed')),
      'core 2.5.2 with a new signature, the present core with an old one: "ERROR[12]: Signature verification failed"',
    );
    const image = stage.image({ version: '2.0', size: SIZE });
    const [legacy, present] = [true, false].map((kind) => signImage(image, PRIVATE_KEY, { legacy: kind }));
    stage.evidence(
      legacy!.length === present!.length &&
        legacy!.subarray(0, -TRAILER_BYTES).every((byte, index) => byte === present![index]) &&
        legacy!.at(-TRAILER_BYTES) !== present!.at(-TRAILER_BYTES),
      'the two files are equal up to the 256 bytes of the signature',
    );
    const taken = [await outcome('2.5.2', true), await outcome('master', false)];
    stage.cured(
      taken.every(({ version }) => version === '2.0'),
      'core 2.5.2 with the old signature, the present core with the new one: version 2.0 runs',
    );
  },
};
