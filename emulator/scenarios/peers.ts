/** Uploaders, servers and forms that scenarios write by hand, on the simulated network. */
import { createHash } from 'node:crypto';
import type { Device } from '../device.ts';
import type { PeerConnection } from '../network/simulated-peer.ts';
import { type HttpMessage, head, readMessage } from '../sweep/drive/http-text.ts';
import { SERVER_ADDRESS, SERVER_PORT } from '../sweep/drive/options.ts';
import type { Stage } from './scenario.ts';

export type { HttpMessage };

/** espota.py waits so long for an answer. */
const ANSWER_US = 10_000_000;
/** Meanwhile the device is still busy with what it refused, and hears nothing. */
const PAUSE_US = 500_000;

export const md5 = (data: string | Uint8Array): string => createHash('md5').update(data).digest('hex');
export const latin1 = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

/**
 * The device's answer to an invitation (`OK`, `ERR: …`, `AUTH …`), undefined when there is none in ten seconds. Nobody
 * listens for the connection that follows an `OK`.
 */
export async function invite(stage: Stage, device: Device, size: number, command = 0): Promise<string | undefined> {
  const udp = device.network.udp();
  udp.send(`${command} 9 ${size} ${md5('')}\n`, device.address.ota?.port ?? 0);
  const deadline = device.nowUs + ANSWER_US;
  await stage.until(device, 'answer', () => udp.received.length > 0 || device.nowUs >= deadline);
  udp.close();
  await device.advance(PAUSE_US);
  const answer = udp.received[0];
  return answer && latin1(answer.data).trimEnd();
}

/** One upload as espota.py makes it, up to the end of the connection; everything that the device wrote on it. */
export async function uploadAndListen(stage: Stage, device: Device, image: Uint8Array): Promise<string> {
  const udp = device.network.udp();
  const listener = device.network.listenTcp();
  let heard = '';
  let connection: PeerConnection | undefined;
  let sent = 0;
  const next = (): void => {
    if (sent >= image.length) return;
    connection?.write(image.subarray(sent, sent + 1460));
    sent += 1460;
  };
  listener.onConnection((accepted) => {
    connection = accepted;
    accepted.onData((data) => {
      heard += latin1(data);
      next();
    });
    next();
  });
  udp.send(`0 ${listener.local.port} ${image.length} ${md5(image)}\n`, device.address.ota?.port ?? 0);
  await stage.until(device, 'end of the connection', () => connection !== undefined && connection.state !== 'open');
  udp.close();
  listener.close();
  return heard;
}

/** An update server that gives answer n to request n, the last one again and again. Each ends with the connection. */
export class ScriptedServer {
  readonly requests: HttpMessage[] = [];
  /** The first event after the first request. */
  askedAtSeq = Number.POSITIVE_INFINITY;
  private readonly listener;

  /** @param answers pieces of one answer leave 10 ms apart, each in a segment of its own */
  constructor(device: Device, answers: readonly (readonly (string | Uint8Array)[])[]) {
    this.listener = device.network.listenTcp(SERVER_ADDRESS, SERVER_PORT);
    this.listener.onConnection((connection) => {
      let text = '';
      connection.onData((data) => {
        text += latin1(data);
        const request = readMessage(text, false);
        if (!request) return;
        text = '';
        const answer = answers[Math.min(this.requests.length, answers.length - 1)] ?? [];
        if (this.requests.length === 0) this.askedAtSeq = device.events.nextSeq;
        this.requests.push(request);
        this.send(device, connection, answer);
      });
    });
  }

  close(): void {
    this.listener.close();
  }

  private send(device: Device, connection: PeerConnection, pieces: readonly (string | Uint8Array)[]): void {
    pieces.forEach((piece, index) => {
      device.network.clock.alarm(index * 10_000, 'peer', () => {
        if (index < pieces.length - 1) connection.write(piece);
        else connection.end(piece);
      });
    });
    if (pieces.length === 0) connection.end();
  }
}

/** The head of an answer with an image behind it. */
export const imageHead = (length: number, more: readonly (readonly [string, string])[] = []): Uint8Array =>
  head('HTTP/1.1 200 OK', [['Content-Length', length], ...more, ['Connection', 'close']]);

/** One request to the device's web server on a connection of its own, and its answer. */
export async function request(
  stage: Stage,
  device: Device,
  start: string,
  headers: readonly (readonly [string, string])[],
  body: string | Uint8Array = '',
): Promise<HttpMessage | undefined> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const connection = device.network.connectTcp(device.address.http?.port ?? 0);
  connection.write(head(start, [['Host', device.network.address], ...headers, ['Content-Length', bytes.length]]));
  connection.write(bytes);
  let text = '';
  connection.onData((data) => {
    text += latin1(data);
  });
  const isOver = (): boolean => connection.state !== 'open' && connection.state !== 'connecting';
  await stage.until(device, 'answer', () => readMessage(text, isOver()) !== undefined || isOver());
  connection.reset();
  return readMessage(text, true);
}

/** A form with one file, as browsers send it. */
export function formWithFile(field: string, file: Uint8Array): { type: string; body: Uint8Array } {
  const boundary = 'limit-of-the-form';
  const before = `--${boundary}\r\nContent-Disposition: form-data; name="${field}"; filename="firmware.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat([Buffer.from(before), file, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}
