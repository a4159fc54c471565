/** Files that are not what they should be, and what is done with their MD5. Source: spec chapter 06, rows 27 to 29 and 40. */
import { parseImage } from '../../flash/image-format.ts';
import type { SketchFactory } from '../sketches/sketch.ts';
import { makeLittleFs } from './little-fs.ts';
import { formWithFile, imageHead, md5, request, ScriptedServer } from './peers.ts';
import type { Scenario } from './scenario.ts';

const SIZE = 40_000;

export const wrongFile: Scenario = {
  name: 'wrong-file',
  rows: [27],
  title: 'ERROR[10]: Magic byte is not 0xE9',
  threads: '#1291, #8639, ebusd-esp #31, LITTLEFS #61',
  cause:
    'what was sent is no firmware: the page around a download link saved under the name of the file, a file system in the field ' +
    'for firmware, or a file whose beginning was lost on the way. Firmware begins with E9, a packed one with 1F 8B.',
  cure: 'look at the first byte, or let `image info` say what the file is; file systems go into the field "filesystem"',
  async play(stage) {
    const image = stage.image({ version: '2.0', size: SIZE });
    const files: Readonly<Record<string, Uint8Array>> = {
      'a page saved as firmware.bin': Buffer.from(
        `<!DOCTYPE html>\n<html><body>${'firmware.bin '.repeat(600)}</body></html>`,
      ),
      'a file system in the field for firmware': makeLittleFs({ size: 65_536, block: 4096 }, { 'config.txt': 'x' }),
      'firmware without its first chunk': image.subarray(1460),
    };
    const device = await stage.device({ image: stage.image({ version: '1.0', size: SIZE }) }, 'web');
    const send = async (field: string, file: Uint8Array) => {
      const { type, body } = formWithFile(field, file);
      return (await request(stage, device, 'POST /update HTTP/1.1', [['Content-Type', type]], body))?.body ?? '';
    };
    for (const [name, file] of Object.entries(files)) {
      stage.step(name);
      const answer = await send('firmware', file);
      stage.symptom(
        answer === 'Update error: ERROR[10]: Magic byte is not 0xE9\n',
        `the browser shows "${answer.trimEnd()}"`,
      );
      stage.evidence(
        parseImage(file).kind !== 'firmware' && parseImage(file).kind !== 'gzip',
        `the file begins with ${Buffer.from(file.subarray(0, 4)).toString('hex')}`,
      );
    }
    stage.evidence(stage.running(device) === '1.0', 'version 1.0 still runs: nothing but the staging area was written');
    stage.step('the firmware itself');
    const answer = await send('firmware', image);
    await stage.until(device, 'start of the new version', () => stage.running(device) === '2.0');
    stage.cured(
      answer.includes('Update Success!'),
      'the browser shows "Update Success! Rebooting...", and version 2.0 runs',
    );
  },
};

export const staleMd5: Scenario = {
  name: 'stale-md5',
  rows: [28],
  title: 'after an upload that was broken off, the next download fails with a wrong MD5, though it has none',
  threads: '#7524',
  cause:
    'an uploader announced the MD5 of its image and went away. The Updater of cores before 3.0.0 kept that MD5 when the next ' +
    'update began; as the server sent none of its own, the download was compared with the MD5 of another image.',
  cure: 'core 3.0.0 or newer, which forgets it; or a server that sends x-MD5; or a restart after a failed update',
  assumed: 'that 3.0.0 is the first core without the error: the thread is from August 2020, and says "fixed"',
  async play(stage) {
    const outcome = async (core: string) => {
      const image = (version: string) =>
        stage.image({ version, core, sketch: ['basic-ota', 'http-update'], size: SIZE });
      const device = await stage.device({ image: image('1.0') }, 'http-update');
      device.faults.arm('net-reset@tcp:20000');
      const broken = image('broken');
      await stage.update(device, { path: 'arduino-ota', image: broken });
      const result = await stage.update(device, { path: 'http-update', image: image('2.0'), md5: null });
      if (result.ok) await stage.settled(device);
      return { device, result, expected: md5(broken) };
    };
    stage.step(
      'core 2.7.4: an ArduinoOTA upload breaks off half-way; then the device downloads from a server without x-MD5',
    );
    const old = await outcome('2.7.4');
    stage.symptom(
      old.result.error?.startsWith('Update error: ERROR[7]: MD5 verification failed'),
      `the device prints "${old.result.error}"`,
    );
    stage.evidence(
      old.result.error?.includes(`expected: ${old.expected}`),
      'the MD5 that it expects is the one of the upload that broke off',
    );
    stage.step('the same with the present core');
    const present = await outcome('master');
    stage.cured(present.result.ok && stage.running(present.device) === '2.0', 'version 2.0 runs');
  },
};

export const md5TooEarly: Scenario = {
  name: 'md5-too-early',
  rows: [29],
  title: 'a damaged image is installed although the sketch sets an MD5',
  threads: '#1938, ElegantOTA #240',
  cause:
    'Update.begin() forgets the MD5 that was set. A sketch that calls setMD5() first compares with nothing; and setMD5() says ' +
    'true all the same, as the text has 32 characters.',
  cure: 'call setMD5() after begin()',
  async play(stage) {
    const good = stage.image({ version: '2.0', size: SIZE });
    const damaged = good.slice();
    damaged[20_000]! ^= 0x40;
    const outcome = async (order: 'before' | 'after', bytes: Uint8Array) => {
      let line = '';
      const updating: SketchFactory = ({ Update, Serial, ESP }) => ({
        async loop() {
          if (order === 'before') Update.setMD5(md5(good));
          await Update.begin(bytes.length);
          if (order === 'after') Update.setMD5(md5(good));
          await Update.write(bytes);
          const ok = await Update.end();
          line = Update.printError().trimEnd();
          Serial.println(line);
          if (ok) await ESP.restart();
        },
      });
      const image = stage.image({ version: '1.0', sketch: 'updating', size: SIZE });
      const device = await stage.device({ image, alter: { sketches: { updating } } });
      await stage.until(device, 'end of the update', () => line !== '');
      await stage.settled(device);
      await stage.until(device, 'rest', () => device.state !== undefined);
      return { device, line };
    };
    stage.step('setMD5() before begin(), and one bit of the download is wrong');
    const early = await outcome('before', damaged);
    await stage.until(early.device, 'crash', () => early.device.events.recent('app.crash').length > 0);
    stage.symptom(
      early.line === 'ERROR[0]: No Error',
      'the update succeeds, and the new firmware crashes at every start',
    );
    stage.evidence(
      stage.last(early.device, 'update.end').md5 === '0'.repeat(32),
      'the Updater compared with nothing: its own MD5 is 32 zeros, it was never computed',
    );
    stage.step('setMD5() after begin(), the same download');
    const late = await outcome('after', damaged);
    stage.evidence(late.line.startsWith('ERROR[7]: MD5 verification failed'), `the sketch prints "${late.line}"`);
    stage.cured(stage.running(late.device) === '1.0', 'version 1.0 goes on, and asks again');
    const sound = await outcome('after', good);
    await stage.until(sound.device, 'start of the new version', () => stage.running(sound.device) === '2.0');
    stage.cured(stage.running(sound.device) === '2.0', 'with a sound download version 2.0 runs');
  },
};

const BUFFER_BYTES = 1024;

export const shortReads: Scenario = {
  name: 'short-reads',
  rows: [40],
  title: 'downloads end with an MD5 mismatch, at random and only on slow links',
  threads: 'esphome #13424',
  cause:
    'a read from the network gives what is there now: often less than asked for, sometimes nothing. A download loop that takes ' +
    'every read for a full buffer writes what the buffer held before once more, and is done before the file is.',
  cure: 'use the number that read() returns, wait when it is 0, and count only those bytes',
  assumed: 'the loop is one of our own: which line of the named firmware was at fault is not in the thread',
  async play(stage) {
    const image = stage.image({ version: '2.0', size: SIZE });
    /** @param believes takes every read for a full one */
    const downloader = (believes: boolean): SketchFactory => {
      let asked = false;
      return ({ network, Update, Serial, ESP, delay }) => ({
        async loop() {
          if (asked) return;
          asked = true;
          const connection = await network.connectTcp({ address: '192.168.1.10', port: 8000 }, 5000);
          if (!connection) return;
          connection.write(Buffer.from('GET /firmware.bin HTTP/1.0\r\n\r\n'));
          let head = '';
          while (!head.endsWith('\r\n\r\n')) {
            if (connection.available() === 0) await connection.wait(100);
            head += Buffer.from(connection.read(1)).toString('latin1');
          }
          await Update.begin(image.length);
          Update.setMD5(md5(image));
          const buffer = new Uint8Array(BUFFER_BYTES);
          let short = 0;
          for (let done = 0; done < image.length; ) {
            const wanted = Math.min(BUFFER_BYTES, image.length - done);
            const got = connection.read(wanted);
            buffer.set(got);
            if (got.length < wanted) short++;
            if (got.length === 0) await delay(1);
            const taken = believes ? wanted : got.length;
            await Update.write(buffer.slice(0, taken));
            done += taken;
          }
          const ok = await Update.end();
          Serial.println(`${short} short reads, ${Update.printError().trimEnd()}`);
          if (ok) await ESP.restart();
        },
      });
    };
    const outcome = async (believes: boolean) => {
      const alter = { sketches: { downloader: downloader(believes) } };
      const device = await stage.device({
        image: stage.image({ version: '1.0', sketch: 'downloader', size: SIZE }),
        alter,
      });
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < image.length; at += 1460) pieces.push(image.subarray(at, at + 1460));
      const server = new ScriptedServer(device, [[imageHead(image.length), ...pieces]]);
      await stage.until(device, 'end of the download', () => device.serial.text().includes('short reads'));
      server.close();
      return { device, line: /\d+ short reads.*/.exec(device.serial.text())?.[0] ?? '' };
    };
    stage.step('a loop that takes every read for a full one');
    const { line } = await outcome(true);
    stage.symptom(line.includes('ERROR[7]: MD5 verification failed'), `the sketch prints "${line}"`);
    stage.evidence(Number.parseInt(line, 10) > 0, `${Number.parseInt(line, 10)} reads gave less than was asked for`);
    stage.step('a loop that counts what it got');
    const good = await outcome(false);
    await stage.until(good.device, 'start of the new version', () => stage.running(good.device) === '2.0');
    stage.cured(good.line.includes('ERROR[0]'), `the sketch prints "${good.line}", and version 2.0 runs`);
  },
};
