/** An ArduinoOTA uploader as espota.py, on the simulated network. Source: spec chapter 03 §1, §4, §11.1. */
import { createHash } from 'node:crypto';
import type { PeerConnection } from '../../network/simulated-peer.ts';
import { chunkSizes, type Drive, type Peer } from './drive.ts';

const CHUNK_BYTES = 1460;
/** espota.py's patience, microseconds. */
const ANSWER_US = 10_000_000;
const RESULT_US = 60_000_000;

const md5 = (data: string | Uint8Array): string => createHash('md5').update(data).digest('hex');
const latin1 = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

/** Starts the uploader; what becomes of it is told to the drive. */
export function arduinoOta(drive: Drive): Peer {
  const { device, network, options } = drive;
  const { image, target, password = '' } = options;
  const port = device.address.ota?.port;
  if (port === undefined) {
    drive.fail('the running firmware offers no ArduinoOTA');
    return { close() {} };
  }
  const udp = network.udp();
  const listener = network.listenTcp();
  let connection: PeerConnection | undefined;
  let invited = false;
  udp.onDatagram(({ data }) => {
    const answer = latin1(data);
    if (answer.startsWith('AUTH ') && !invited) {
      invited = true;
      const cnonce = md5(`firmware.bin${image.length}${md5(image)}${network.address}`);
      const response = md5(`${md5(password)}:${answer.split(/\s+/)[1] ?? ''}:${cnonce}`);
      udp.send(`200 ${cnonce} ${response}\n`, port);
      drive.expectWithin(ANSWER_US, 'No Answer to our Authentication');
    } else if (answer === 'OK') {
      if (!connection) drive.expectWithin(ANSWER_US, 'No response from device');
    } else {
      drive.fail(answer.trimEnd());
    }
  });
  listener.onConnection((accepted) => {
    if (connection) return accepted.reset();
    connection = accepted;
    upload(drive, accepted);
  });
  udp.send(`${target === 'fs' ? 100 : 0} ${listener.local.port} ${image.length} ${options.md5 ?? md5(image)}\n`, port);
  drive.expectWithin(ANSWER_US, 'No Answer');
  return {
    close() {
      udp.close();
      listener.close();
      connection?.reset();
    },
  };
}

/** A chunk, any answer, the next chunk; then `OK` or an error text. */
function upload(drive: Drive, connection: PeerConnection): void {
  const { image, chunk = CHUNK_BYTES } = drive.options;
  const nextSize = chunkSizes(chunk);
  let sent = 0;
  let heard = '';
  const next = (): void => {
    if (sent >= image.length) {
      drive.expectWithin(RESULT_US, 'No Result!');
      return;
    }
    const piece = image.subarray(sent, sent + nextSize());
    sent += piece.length;
    connection.write(piece);
    drive.expectWithin(ANSWER_US, 'Error Uploading');
  };
  connection.onData((data) => {
    heard = (heard + latin1(data)).slice(-4096);
    const error = heard.indexOf('E');
    if (error >= 0 && heard.includes('\n', error)) drive.fail(heard.slice(error).trimEnd());
    else if (heard.includes('OK')) drive.peerDone();
    else if (error < 0) next();
  });
  connection.onState((state) => {
    if (state === 'open' || heard.includes('OK')) return;
    const error = heard.indexOf('E');
    if (error >= 0) drive.fail(heard.slice(error).trimEnd());
    else drive.fail(sent < image.length ? 'Error Uploading' : 'No Result!');
  });
  next();
}
