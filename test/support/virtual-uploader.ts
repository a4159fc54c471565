/** An uploader on the simulated network, as espota.py behaves: invitation, password, 1460 bytes at a time in lockstep. */
import { createHash } from 'node:crypto';
import type { Device } from '../../emulator/index.ts';

const CHUNK_BYTES = 1460;
/** Device time after which an upload that came to nothing is given up. */
const LIMIT_US = 120_000_000;
const STEP_US = 5_000;

export interface VirtualUpload {
  readonly udp: string[];
  readonly tcp: string;
  readonly connected: boolean;
}

const md5 = (data: string | Uint8Array): string => createHash('md5').update(data).digest('hex');

/**
 * Uploads to a device with a virtual clock; moves its time until the device answered `OK`, an error, or closed.
 *
 * @param options.until ends the upload early, looked at between steps of 5 ms
 */
export async function uploadVirtually(
  device: Device,
  image: Uint8Array,
  options: { command?: 0 | 100; password?: string; md5?: string; until?: () => boolean } = {},
): Promise<VirtualUpload> {
  const port = device.address.ota?.port;
  if (port === undefined) throw new Error('the device offers no OTA');
  const { network } = device;
  const udp = network.udp();
  const listener = network.listenTcp();
  const answers: string[] = [];
  let text = '';
  let connected = false;
  let finished = false;
  udp.onDatagram(({ data }) => {
    const answer = Buffer.from(data).toString('latin1');
    answers.push(answer);
    if (answer.startsWith('AUTH ')) {
      const cnonce = md5('cnonce');
      const response = md5(`${md5(options.password ?? '')}:${answer.slice(5)}:${cnonce}`);
      udp.send(`200 ${cnonce} ${response}\n`, port);
    } else if (answer !== 'OK') finished = true;
  });
  listener.onConnection((connection) => {
    connected = true;
    let sent = 0;
    const next = (): void => {
      if (sent < image.length) connection.write(image.subarray(sent, Math.min(image.length, sent + CHUNK_BYTES)));
      sent += CHUNK_BYTES;
    };
    connection.onData((data) => {
      text += Buffer.from(data).toString('latin1');
      if (/O|E/.test(text)) finished = true;
      else next();
    });
    connection.onState((state) => {
      if (state !== 'open') finished = true;
    });
    next();
  });
  udp.send(`${options.command ?? 0} ${listener.local.port} ${image.length} ${options.md5 ?? md5(image)}\n`, port);
  for (let spent = 0; !finished && spent < LIMIT_US && !options.until?.(); spent += STEP_US)
    await device.advance(STEP_US);
  udp.close();
  listener.close();
  return { udp: answers, tcp: text, connected };
}
