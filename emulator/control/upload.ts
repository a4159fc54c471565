/** `POST /api/upload`: an image goes to the device the way a user sends it, over the device's own sockets. */

import { SECTOR_BYTES } from '../../flash/geometry.ts';
import { type Manifest, readManifest } from '../../flash/manifest.ts';
import type { Addresses, HostPort } from '../events.ts';
import { uploadOverOta } from '../uploader.ts';
import { ApiError, conflict } from './api-error.ts';
import type { ControlledDevice, KnownSettings } from './ports.ts';
import { uploadOverWeb } from './web-uploader.ts';

/** A paused or slowed device answers late; who waits too long can go away. */
const PATIENCE_MS = 60 * 60_000;
/** An image is never larger than the first MiB, its manifest in it. */
const LARGEST_SKETCH_BYTES = 256 * SECTOR_BYTES;

export interface UploadRequest {
  readonly via: 'arduino-ota' | 'web';
  readonly target: 'sketch' | 'fs';
  readonly file: Uint8Array;
  readonly fileName: string;
  /** Instead of what the device is known to want. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly signal: AbortSignal;
}

export interface UploadDone {
  readonly ok: true;
  readonly via: string;
  readonly target: string;
  readonly bytes: number;
  /** What the device said. */
  readonly answer: string;
}

/**
 * @throws ApiError 409 when the device has no such service now; 502 with the uploader's own words when the device refused
 *   or broke off
 */
export async function upload(
  device: ControlledDevice,
  known: KnownSettings,
  request: UploadRequest,
): Promise<UploadDone> {
  const settings = settingsOf(device, known);
  const { via, target, file } = request;
  const result = via === 'web' ? await web(device, settings, request) : await ota(device, settings, request);
  if (!result.ok) throw new ApiError(502, result.reason, result.message, {}, result.sent);
  return { ok: true, via, target, bytes: file.length, answer: result.answer };
}

type Outcome =
  | { ok: true; answer: string }
  | { ok: false; reason: string; message: string; sent: Readonly<Record<string, unknown>> };

async function ota(device: ControlledDevice, known: KnownSettings, request: UploadRequest): Promise<Outcome> {
  const { host, port } = service(device.address, 'ota');
  const result = await uploadOverOta({
    host,
    port,
    file: request.file,
    fileName: request.fileName,
    command: request.target,
    password: request.password ?? known.password ?? '',
    timeouts: {
      ack: PATIENCE_MS,
      result: PATIENCE_MS,
      connect: PATIENCE_MS,
      ...(device.paused ? { answer: PATIENCE_MS } : {}),
    },
    signal: request.signal,
  });
  if (result.ok) return { ok: true, answer: 'OK' };
  return { ok: false, reason: result.reason, message: result.message, sent: { sent: result.sent } };
}

async function web(device: ControlledDevice, known: KnownSettings, request: UploadRequest): Promise<Outcome> {
  const scheme = device.address.http === undefined && device.address.https !== undefined ? 'https' : 'http';
  const { host, port } = service(device.address, scheme);
  const secure = scheme === 'https';
  const result = await uploadOverWeb({
    scheme,
    host,
    port,
    path: known.httpPath ?? (secure ? '/firmware' : '/update'),
    user: request.user ?? known.httpUser ?? (secure ? 'admin' : undefined),
    password: request.password ?? known.httpPassword ?? (secure ? 'admin' : undefined),
    target: request.target,
    file: request.file,
    fileName: request.fileName,
    signal: request.signal,
    silenceMs: PATIENCE_MS,
  });
  return result.ok ? result : { ...result, sent: {} };
}

const SERVICE_NAMES = { ota: 'ArduinoOTA', http: 'web updater', https: 'web updater' } as const;

/** Where to connect; a device on all addresses is also on loopback. */
function service(address: Addresses, name: 'ota' | 'http' | 'https'): HostPort {
  const at = address[name];
  if (!at) throw conflict('no-service', `the device runs no ${SERVICE_NAMES[name]} now`);
  return at.host === '0.0.0.0' ? { host: '127.0.0.1', port: at.port } : at;
}

/** The run's settings, with those of the image on the chip on top: as the sketch merges them. */
function settingsOf(device: ControlledDevice, known: KnownSettings): KnownSettings {
  const { chip } = device.flash;
  const length = Math.min(LARGEST_SKETCH_BYTES, chip.capacityBytes);
  const own: Manifest['settings'] = readManifest(device.flash.read(0, length)).manifest?.settings ?? {};
  const text = (key: string): string | undefined => (own[key] === undefined ? undefined : String(own[key]));
  return {
    password: text('password') ?? known.password,
    httpUser: text('http-user') ?? known.httpUser,
    httpPassword: text('http-password') ?? known.httpPassword,
    httpPath: text('http-path') ?? known.httpPath,
  };
}
