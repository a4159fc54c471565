/** What a run tells the http-update sketches, checked before the device is made. Contract: design.md §4 (`run`). */
import { X509Certificate } from 'node:crypto';
import { parseUrl } from '../ota-services/http-update-client/url.ts';
import { DeviceOptionError, type DeviceOptions } from './options.ts';
import { defined, type SketchSettings } from './settings.ts';

type UpdateOptions = NonNullable<DeviceOptions['update']>;

const MODES = ['disabled', 'strict', 'force'] as const;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
/** SHA-1, as the core's `setFingerprint` takes it. */
const FINGERPRINT = /^(?:[0-9a-f]{2}[ :]?){19}[0-9a-f]{2}$/i;
/** What a request line or a header cannot carry as one word or one line. */
const NOT_IN_URL = /[^\x21-\x7e]/;
const NOT_IN_HEADER = /[^\x20-\x7e]/;
/** The longest wait of a timer: 2^31 - 1 milliseconds. */
const MAX_SECONDS = 2_147_483;

/** @throws DeviceOptionError with the name of the option, which is the image setting's and the command line's as well */
export function updateSettings(update: UpdateOptions = {}): Partial<SketchSettings> {
  const { url, fsUrl, intervalS, currentVersion, md5, followRedirects, ca, fingerprint, insecure } = update;
  checkUrl('update-url', url);
  checkUrl('update-fs-url', fsUrl);
  if (intervalS !== undefined && !(intervalS >= 0 && intervalS <= MAX_SECONDS)) {
    throw new DeviceOptionError(`update-interval ${intervalS}: wants seconds, 0 to ${MAX_SECONDS}`);
  }
  if (currentVersion !== undefined && NOT_IN_HEADER.test(currentVersion)) {
    throw new DeviceOptionError(
      `current-version ${JSON.stringify(currentVersion)}: goes into a header; use one line of ASCII, e.g. 1.0.0`,
    );
  }
  if (md5 !== undefined && !/^[0-9a-f]{32}$/i.test(md5)) {
    throw new DeviceOptionError(`md5 "${md5}": wants the 32 hex digits of the image's MD5, as md5sum prints them`);
  }
  if (followRedirects !== undefined && !MODES.includes(followRedirects)) {
    throw new DeviceOptionError(`follow-redirects "${String(followRedirects)}": one of ${MODES.join(', ')}`);
  }
  if (fingerprint !== undefined && !FINGERPRINT.test(fingerprint)) {
    throw new DeviceOptionError(
      `fingerprint "${fingerprint}": wants the 40 hex digits of the server certificate's SHA-1, also with colons ` +
        '(openssl x509 -noout -fingerprint -sha1)',
    );
  }
  if (ca !== undefined) checkAuthorities(ca);
  if ([ca, fingerprint, insecure || undefined].filter((trust) => trust !== undefined).length > 1) {
    throw new DeviceOptionError('ca, fingerprint and insecure exclude each other: give one way to trust the server');
  }
  return defined({
    updateUrl: url,
    updateFsUrl: fsUrl,
    updateIntervalS: intervalS,
    currentVersion,
    md5,
    followRedirects,
    ca,
    fingerprint,
    insecure,
  });
}

function checkUrl(option: string, url: string | undefined): void {
  if (url === undefined) return;
  const target = /^https?:\/\//i.test(url) && !NOT_IN_URL.test(url) ? parseUrl(url) : undefined;
  if (!target?.host) {
    throw new DeviceOptionError(
      `${option} "${url}": wants http:// or https:// with a host, e.g. http://192.168.1.8:8000/lamps; ` +
        'spaces and letters beyond ASCII as %XX',
    );
  }
}

function checkAuthorities(ca: string): void {
  const certificates = ca.match(CERTIFICATE);
  if (!certificates) {
    throw new DeviceOptionError(
      'ca: no certificate in it; wants PEM, that is lines between -----BEGIN CERTIFICATE-----',
    );
  }
  certificates.forEach((pem, index) => {
    try {
      new X509Certificate(pem);
    } catch {
      // no device takes part here: this can be no Interruption
      throw new DeviceOptionError(
        `ca: certificate ${index + 1} of ${certificates.length} cannot be read; is it whole?`,
      );
    }
  });
}
