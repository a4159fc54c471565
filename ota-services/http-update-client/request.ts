/** The bytes of a request, in the core's order. Source: spec chapter 04 §16. */
import { type ByteText, bytesOf } from '../web-server/byte-text.ts';

export type HeaderLine = readonly [name: ByteText, value: ByteText];

export interface GetRequest {
  readonly host: ByteText;
  readonly port: number;
  /** Empty is sent as `/`; without a leading slash it is sent as it is. */
  readonly uri: ByteText;
  /** HTTP/1.0; updates always are. */
  readonly http10: boolean;
  readonly keepAlive: boolean;
  readonly userAgent: ByteText;
  /** Base64 behind `Basic `; empty for none. */
  readonly authorization: ByteText;
  /** Added by the sketch, in this order. */
  readonly headers: readonly HeaderLine[];
}

/** Every line of the request that has a name, in order. `Content-Length: 0` is sent with a GET, too. */
export function requestHeaders(request: GetRequest): HeaderLine[] {
  const { host, port, authorization } = request;
  const isUsualPort = port === 80 || port === 443; // whatever the protocol
  const lines: HeaderLine[] = [
    ['Host', isUsualPort ? host : `${host}:${port}`],
    ['User-Agent', request.userAgent],
  ];
  if (!request.http10) lines.push(['Accept-Encoding', 'identity;q=1,chunked;q=0.1,*;q=0']);
  if (authorization !== '') lines.push(['Authorization', `Basic ${authorization}`]);
  lines.push(['Connection', request.keepAlive ? 'keep-alive' : 'close'], ...request.headers, ['Content-Length', '0']);
  return lines;
}

export function requestBytes(request: GetRequest): Uint8Array {
  const first = `GET ${request.uri === '' ? '/' : request.uri} HTTP/1.${request.http10 ? 0 : 1}`;
  const lines = [first, ...requestHeaders(request).map(([name, value]) => `${name}: ${value}`), '', ''];
  return bytesOf(lines.join('\r\n'));
}

/** What an update request tells about the device. */
export interface DeviceFacts {
  /** 24-bit. */
  readonly chipId: number;
  /** `5C:CF:7F:C0:FF:EE`, upper case. */
  readonly staMac: string;
  readonly apMac: string;
  /** Bytes; unsigned 32-bit. */
  readonly freeSketchSpace: number;
  readonly sketchSize: number;
  /** 32 lower-case hex digits. */
  readonly sketchMd5: string;
  /** The real size of the chip, bytes. */
  readonly chipSize: number;
  readonly sdkVersion: string;
}

/** File systems of any kind are asked for as `spiffs`. */
export type UpdateMode = 'sketch' | 'spiffs' | 'version';

/** Lines 6 to 15 of the table, as a sketch would add them. @param version empty: no such line @param sendsSketchMd5 as `ServiceEra` */
export function updateHeaders(
  facts: DeviceFacts,
  mode: UpdateMode,
  version: string,
  sendsSketchMd5 = true,
): (readonly [name: string, value: string])[] {
  const lines: (readonly [string, string])[] = [
    ['x-ESP8266-Chip-ID', String(facts.chipId)],
    ['x-ESP8266-STA-MAC', facts.staMac],
    ['x-ESP8266-AP-MAC', facts.apMac],
    ['x-ESP8266-free-space', String(facts.freeSketchSpace)],
    ['x-ESP8266-sketch-size', String(facts.sketchSize)],
    ...(sendsSketchMd5 ? ([['x-ESP8266-sketch-md5', facts.sketchMd5]] as const) : []),
    ['x-ESP8266-chip-size', String(facts.chipSize)],
    ['x-ESP8266-sdk-version', facts.sdkVersion],
    ['x-ESP8266-mode', mode],
  ];
  if (version !== '') lines.push(['x-ESP8266-version', version]);
  return lines;
}

/** Version of the vendor's SDK in `master` of the core. */
export const SDK_VERSION = '2.2.2-dev(38a443e)';
/** Of the vendor's address blocks the one that most modules carry; the access point's address is the locally administered twin. */
const STA_OUI = '5C:CF:7F';
const AP_OUI = '5E:CF:7F';

/** The two MAC addresses that go with a chip id: it is their last three bytes. */
export function macsOf(chipId: number): { readonly staMac: string; readonly apMac: string } {
  const tail = [16, 8, 0].map((shift) => ((chipId >>> shift) & 0xff).toString(16).toUpperCase().padStart(2, '0'));
  return { staMac: [STA_OUI, ...tail].join(':'), apMac: [AP_OUI, ...tail].join(':') };
}
