/** httpUpdate and servers that answer otherwise than it expects. Source: spec chapter 06, rows 30 and 34 to 36; chapter 04 §18–§20. */

import { WiFiClient } from '../../ota-services/http-update-client/wifi-client.ts';
import type { Device } from '../device.ts';
import type { SketchFactory } from '../sketches/sketch.ts';
import { head } from '../sweep/drive/http-text.ts';
import { SERVER_ADDRESS, SERVER_PORT, SERVER_URL } from '../sweep/drive/options.ts';
import { imageHead, latin1, ScriptedServer } from './peers.ts';
import type { Scenario, Stage } from './scenario.ts';

const SIZE = 40_000;

const plain = (start: string, more: readonly (readonly [string, string])[] = []): Uint8Array =>
  head(start, [['Content-Length', 0], ...more, ['Connection', 'close']]);

type Answer = readonly (string | Uint8Array)[];

/** What the sketch prints of its first attempt with this server; after a success the version that starts. */
async function attempt(stage: Stage, device: Device, ...answers: Answer[]) {
  const server = new ScriptedServer(device, answers);
  const ended = () => device.events.recent('httpupdate.end').find(({ seq }) => seq >= server.askedAtSeq);
  await stage.until(device, 'end of an attempt', () => ended() !== undefined);
  server.close();
  const end = ended()!;
  if (end.result === 'ok') await stage.until(device, 'start of the new version', () => stage.running(device) === '2.0');
  const lines = device.serial.text().split(/\r?\n/);
  return {
    error: end.error,
    /** The last line of the sketch about it. */
    line: lines.findLast((line) => line.startsWith('HTTP_UPDATE_FAIL')) ?? '',
    requests: server.requests,
  };
}

const updatingImage = (stage: Stage, version: string, core = 'master'): Uint8Array =>
  stage.image({ version, core, sketch: 'http-update', size: SIZE });

export const missingMd5Header: Scenario = {
  name: 'missing-md5-header',
  rows: [30],
  title: 'the server refuses old devices: their requests lack x-ESP8266-sketch-md5',
  threads: '#3514, #3043',
  cause:
    'the example server in the documentation wants all headers of a request, among them the MD5 of the running sketch, and ' +
    'answers 403 otherwise. Firmware of cores before 2.4.0 does not send that one.',
  cure: 'a server that does not ask for it; the update brings a core that sends it',
  assumed: 'that 2.4.0 is the first core that sends it: the threads are about 2.3.0',
  async play(stage) {
    const header = 'x-esp8266-sketch-md5';
    const device = await stage.device({ image: updatingImage(stage, '1.0', '2.3.0') }, 'http-update');
    stage.step('firmware of core 2.3.0 asks a server that wants all headers');
    const strict = await attempt(stage, device, [plain('HTTP/1.1 403 Forbidden')]);
    const [request] = strict.requests;
    stage.symptom(
      request && !request.headers.has(header) && strict.line === 'HTTP_UPDATE_FAILD Error (-103): Forbidden (403)',
      `the sketch prints "${strict.line}"`,
    );
    stage.evidence(
      request?.headers.has('x-esp8266-sketch-size') && !request.headers.has(header),
      'the request has x-ESP8266-sketch-size and the others, but no x-ESP8266-sketch-md5',
    );
    stage.step('a server that can do without');
    const next = updatingImage(stage, '2.0');
    await attempt(stage, device, [imageHead(next.length), next]);
    const after = await attempt(stage, device, [plain('HTTP/1.1 304 Not Modified')]);
    stage.cured(
      stage.running(device) === '2.0' && after.requests[0]?.headers.has(header),
      'version 2.0 runs, and its requests have the header',
    );
  },
};

/** As people write it when they take server, port and path apart. */
const byParts: SketchFactory = (core) => {
  let asked = false;
  return {
    async loop() {
      if (asked) return;
      asked = true;
      const { ESPhttpUpdate, Serial, ports } = core;
      await ESPhttpUpdate.update(new WiFiClient(ports), SERVER_ADDRESS, SERVER_PORT, 'firmware.bin');
      Serial.println(
        `HTTP_UPDATE_FAILD Error (${ESPhttpUpdate.getLastError()}): ${ESPhttpUpdate.getLastErrorString()}`,
      );
    },
  };
};

const WRONG_CODE = 'HTTP_UPDATE_FAILD Error (-104): Wrong HTTP Code';

export const wrongHttpCode: Scenario = {
  name: 'wrong-http-code',
  rows: [34],
  title: 'HTTP_UPDATE_FAILD Error (-104): Wrong HTTP Code',
  threads: '#2022, #6304, #6469, #6971, #8269',
  cause:
    'the server answers something that is neither 200 nor 304. Most often a redirect, which the device does not follow unless ' +
    'it is told to; or 400, because the path in update(host, port, path) has no slash in front and is sent as it is; or 500, ' +
    'because a script on the server fails. The device prints one text for all of them.',
  cure: 'look at what the server answers; follow redirects (never from http to https); begin the path with a slash; mend the script',
  async play(stage) {
    const next = updatingImage(stage, '2.0');
    const good: Answer = [imageHead(next.length), next];
    const moved: Answer = [plain('HTTP/1.1 302 Found', [['Location', `${SERVER_URL}new.bin`]])];
    stage.step('302: the file has moved');
    const device = await stage.device({ image: updatingImage(stage, '1.0') }, 'http-update');
    const redirected = await attempt(stage, device, moved);
    stage.symptom(redirected.line === WRONG_CODE, `the sketch prints "${redirected.line}"`);
    stage.evidence(stage.last(device, 'httpupdate.response').status === 302, 'the server answered 302 Found');
    stage.step('500: a script of the server fails');
    const failing = await attempt(stage, device, [plain('HTTP/1.1 500 Internal Server Error')]);
    stage.symptom(failing.line === WRONG_CODE, 'the same line');
    stage.step('400: the path has no slash in front');
    const parts = await stage.device({
      image: stage.image({ version: '1.0', sketch: 'by-parts', size: SIZE }),
      alter: { sketches: { 'by-parts': byParts } },
    });
    const lacking = await attempt(stage, parts, [plain('HTTP/1.1 400 Bad Request')]);
    stage.symptom(lacking.error === -104, 'the same line');
    stage.evidence(
      lacking.requests[0]?.start === 'GET firmware.bin HTTP/1.0',
      `the request began "${lacking.requests[0]?.start}"`,
    );
    stage.step('the same redirect, and a sketch that follows it');
    const following = await stage.device(
      {
        image: stage.image({
          version: '1.0',
          sketch: 'http-update',
          size: SIZE,
          settings: { 'follow-redirects': 'strict' },
        }),
      },
      'http-update',
    );
    await attempt(stage, following, moved, good);
    stage.cured(stage.running(following) === '2.0', 'version 2.0 runs');
  },
};

export const badBody: Scenario = {
  name: 'bad-body',
  rows: [35],
  title: 'HTTP_UPDATE_FAILD Error (-106): Verify Bin Header Failed',
  threads: '#3686, #5462',
  cause:
    'the server said 200, but the first byte of what followed is that of no firmware: as a rule an error page. And on the chip ' +
    'the look at the first four bytes sees one packet only: a server that sends its head together with one to three bytes of ' +
    'the image fails although every byte is right.',
  cure: 'let the server answer errors with an error code, and send head and image apart, or both in large pieces',
  async play(stage) {
    const line = 'HTTP_UPDATE_FAILD Error (-106): Verify Bin Header Failed';
    const next = updatingImage(stage, '2.0');
    const page = `<html><body>No such device. ${' '.repeat(200)}</body></html>`;
    const device = await stage.device({ image: updatingImage(stage, '1.0') }, 'http-update');
    stage.step('200 OK with a page in it');
    const wrong = await attempt(stage, device, [imageHead(page.length), page]);
    stage.symptom(wrong.line === line, `the sketch prints "${wrong.line}"`);
    stage.evidence(page[0] === '<', 'the body begins with "<", not with E9 or 1F');

    stage.step('the right image, but its first two bytes come in the packet of the head');
    const peeking: SketchFactory = (core) => {
      core.ESPhttpUpdate.peekFirstSegmentOnly = true;
      return {};
    };
    const chip = await stage.device(
      {
        image: stage.image({ version: '1.0', sketch: ['peeking', 'http-update'], size: SIZE }),
        alter: { sketches: { peeking } },
      },
      'http-update',
    );
    const split = Buffer.concat([imageHead(next.length), next.subarray(0, 2)]);
    const torn = await attempt(stage, chip, [split, next.subarray(2)]);
    stage.symptom(torn.line === line, 'the same line');
    stage.evidence(
      latin1(split).endsWith('\r\n\r\n\xe9\x02'),
      'the head ends, and behind it the packet holds E9 02: two of the four bytes that the device wants to see',
    );
    stage.step('head and image apart');
    await attempt(stage, chip, [imageHead(next.length), next]);
    stage.cured(stage.running(chip) === '2.0', 'version 2.0 runs');
  },
};

export const connectionRefused: Scenario = {
  name: 'connection-refused',
  rows: [36],
  title: 'HTTP_UPDATE_FAILD Error (-1): HTTP error: connection failed',
  threads: '#3303',
  cause:
    'there is no connection at all: nothing listens on that port, the name is not known, or (with https) the certificate is ' +
    'not trusted. The device tells none of these apart.',
  cure: 'ask the same address and port from another machine of that network; then start the server, or correct the address',
  async play(stage) {
    const device = await stage.device({ image: updatingImage(stage, '1.0') }, 'http-update');
    stage.step('the machine is there, but no server runs on it');
    device.network.addHost(SERVER_ADDRESS);
    await stage.until(device, 'end of an attempt', () => device.events.recent('httpupdate.end').length > 0);
    const line = 'HTTP_UPDATE_FAILD Error (-1): HTTP error: connection failed';
    stage.symptom(device.serial.text().includes(line), `the sketch prints "${line}"`);
    stage.evidence(
      device.events.recent('httpupdate.response').length === 0,
      `nothing answered on ${SERVER_ADDRESS}:${SERVER_PORT}: its machine refused the connection at once`,
    );
    stage.step('the server is started');
    const next = updatingImage(stage, '2.0');
    await attempt(stage, device, [imageHead(next.length), next]);
    stage.cured(stage.running(device) === '2.0', 'the next attempt succeeds: version 2.0 runs');
  },
};
