/**
 * A browser's upload to the update form of the device: one multipart POST over a real connection.
 * Source: spec chapter 04 §9–§11.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface WebUploadOptions {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  /** Path of the form. */
  readonly path: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly target: 'sketch' | 'fs';
  readonly file: Uint8Array;
  readonly fileName: string;
  readonly signal: AbortSignal;
  /** Without a byte from the device, milliseconds. */
  readonly silenceMs: number;
}

export type WebUploadFailure =
  | 'no-connection'
  | 'auth-failed'
  | 'device-error'
  | 'bad-answer'
  | 'no-result'
  | 'aborted';

export type WebUploadResult =
  | { readonly ok: true; readonly answer: string }
  | { readonly ok: false; readonly reason: WebUploadFailure; readonly message: string };

/** The inputs of the form are named so. */
const FIELD = { sketch: 'firmware', fs: 'filesystem' } as const;
const SUCCESS = 'Update Success! Rebooting...';
const ANSWER_LIMIT = 4096;
const UNAUTHORIZED = 401;

/** @returns what became of it; whatever the device or the network does is a value */
export async function uploadOverWeb(options: WebUploadOptions): Promise<WebUploadResult> {
  const boundary = `----vesp-form-${boundaryFor(options.file)}`;
  const name = options.fileName.replace(/[^\w.-]/g, '_') || 'firmware.bin';
  const head =
    `--${boundary}\r\nContent-Disposition: form-data; name="${FIELD[options.target]}"; filename="${name}"\r\n` +
    'Content-Type: application/octet-stream\r\n\r\n';
  const body = Buffer.concat([Buffer.from(head, 'latin1'), options.file, Buffer.from(`\r\n--${boundary}--\r\n`)]);
  try {
    const { status, text } = await post(options, boundary, body);
    if (status === UNAUTHORIZED) {
      return { ok: false, reason: 'auth-failed', message: 'the device wants another user or password (401)' };
    }
    if (status === 200 && text.includes(SUCCESS)) return { ok: true, answer: SUCCESS };
    const message = text.trim();
    return message.startsWith('Update error')
      ? { ok: false, reason: 'device-error', message }
      : { ok: false, reason: 'bad-answer', message: `the device answered ${status}: ${message.slice(0, 200)}` };
  } catch (error) {
    // Node's own errors: no device code runs in here, so this can be no Interruption.
    const { code, message } = error as NodeJS.ErrnoException;
    if (options.signal.aborted) return { ok: false, reason: 'aborted', message: 'Aborted' };
    const refused = code === 'ECONNREFUSED';
    return { ok: false, reason: refused ? 'no-connection' : 'no-result', message: `${code ?? 'error'}: ${message}` };
  }
}

function post(options: WebUploadOptions, boundary: string, body: Buffer): Promise<{ status: number; text: string }> {
  const { scheme, user, password } = options;
  return new Promise((resolve, reject) => {
    const send = scheme === 'https' ? httpsRequest : httpRequest;
    const request = send({
      method: 'POST',
      host: options.host,
      port: options.port,
      path: options.path,
      agent: false,
      signal: options.signal,
      // The device's certificate is its own, and it is on this machine.
      rejectUnauthorized: false,
      headers: {
        'Content-Type': `multipart/form-data; boundary=${boundary}`,
        'Content-Length': body.length,
        Connection: 'close',
        ...(user !== undefined && password !== undefined
          ? { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
          : {}),
      },
    });
    let early = false;
    request.setTimeout(options.silenceMs, () => request.destroy(new Error('the device fell silent')));
    request.once('response', (response) => {
      early = true;
      readText(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    // A device that refuses early closes while we still write.
    request.on('error', (error) => {
      if (!early) reject(error);
    });
    request.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const piece of response as AsyncIterable<Buffer>)
      text = (text + piece.toString('latin1')).slice(0, ANSWER_LIMIT);
  } catch (error) {
    if (text === '') throw error; // the device restarts and may cut what it had sent whole
  }
  return text;
}

/** A boundary that does not occur in the file. */
function boundaryFor(file: Uint8Array): string {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  for (let number = 0; ; number++) {
    const text = `${number.toString(16).padStart(16, '0')}`;
    if (bytes.indexOf(text) < 0) return text;
  }
}
