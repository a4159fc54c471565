/**
 * How the core takes a URL apart: by the first `:`, `/`, `@` and `:`, without a look at what stands between.
 * Source: spec chapter 04 §15 (ESP8266HTTPClient.cpp). The quirks are the device's; nothing is decoded or cleaned.
 */
import { asciiLower, toInt } from '../web-server/arduino-string.ts';
import type { ByteText } from '../web-server/byte-text.ts';

/** Where a request goes. */
export interface HttpTarget {
  /** Chooses the default port and bounds redirects; whether TLS is spoken depends on the client object alone. */
  readonly protocol: 'http' | 'https';
  readonly host: ByteText;
  /** 16 bits. */
  readonly port: number;
  /** As it is sent; empty for `/`. */
  readonly uri: ByteText;
  /** Base64 of the user information in the URL. */
  readonly credentials?: string;
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const;
/** `://`; what really stands there is not looked at. */
const SEPARATOR_LENGTH = 3;

/**
 * `undefined` when the text before the first `:` is neither `http` nor `https`: then `begin` fails.
 *
 * @example
 * parseUrl('http://me:pw@192.168.1.8:8000/fw.bin'); // host 192.168.1.8, port 8000, uri /fw.bin, credentials bWU6cHc=
 */
export function parseUrl(url: ByteText): HttpTarget | undefined {
  const colon = url.indexOf(':');
  const protocol = asciiLower(url.slice(0, Math.max(0, colon)));
  if (protocol !== 'http' && protocol !== 'https') return undefined;

  const rest = url.slice(colon + SEPARATOR_LENGTH);
  const slash = rest.indexOf('/');
  // Without a slash a query stays in the host name, or is lost behind the port: the device looks for nothing else.
  let host = slash < 0 ? rest : rest.slice(0, slash);
  const uri = slash < 0 ? '' : rest.slice(slash);

  const at = host.indexOf('@');
  const credentials = at < 0 ? undefined : btoa(host.slice(0, at));
  host = host.slice(at + 1);

  const portColon = host.indexOf(':');
  const port = portColon < 0 ? DEFAULT_PORTS[protocol] : toInt(host.slice(portColon + 1)) & 0xffff;
  if (portColon >= 0) host = host.slice(0, portColon);
  return { protocol, host, port, uri, ...(credentials === undefined ? {} : { credentials }) };
}

/** The URL as it is shown in events: without the user information. */
export function shownUrl({ protocol, host, port, uri }: HttpTarget): string {
  const shownPort = port === DEFAULT_PORTS[protocol] ? '' : `:${port}`;
  return `${protocol}://${host}${shownPort}${uri.startsWith('/') ? '' : '/'}${uri}`;
}
