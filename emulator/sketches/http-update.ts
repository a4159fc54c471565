/**
 * The core's ESP8266httpUpdate examples: a device that asks a server for its updates. Source: spec chapter 04 §24; line ends
 * and misspellings are the examples'.
 *
 * The examples have the server's address in their text; here it is a setting, and without it nothing is asked. They ask
 * again as soon as an attempt is over; `updateIntervalS` lets other sketches and the server rest between two attempts.
 */
import {
  HTTP_UPDATE_FAILED,
  HTTP_UPDATE_NO_UPDATES,
  HTTP_UPDATE_OK,
  type HTTPUpdateResult,
} from '../../ota-services/http-update-client/http-update.ts';
import { probeMaxFragmentLength } from '../../ota-services/http-update-client/mfln-probe.ts';
import { parseUrl } from '../../ota-services/http-update-client/url.ts';
import { WiFiClient, WiFiClientSecure } from '../../ota-services/http-update-client/wifi-client.ts';
import type { Core, SketchFactory } from './sketch.ts';

const LED_BUILTIN = 2;
const LOW = 0;
const CLIENT_TIMEOUT_MS = 2000;
/** `[SETUP] WAIT 4...` and down. */
const SETUP_SECONDS = 4;
const NTP_POLL_MS = 500;
/** Behind each attempt of the signed example. */
const SIGNED_PAUSE_MS = 10_000;
const FRAGMENT_BYTES = 1024;
const REDIRECT_MODES = { disabled: 0, strict: 1, force: 2 } as const;

/** httpUpdate: callbacks, an LED, and a restart into the new sketch. */
export const httpUpdate: SketchFactory = (core) => {
  const { Serial, ESPhttpUpdate, settings } = core;
  const isDue = schedule(core);
  return {
    setup() {
      Serial.println();
      configure(core);
      ESPhttpUpdate.setClientTimeout(CLIENT_TIMEOUT_MS);
      if (settings.updateUrl === undefined) hint(core, 'http-update', '--update-url');
    },
    async loop() {
      const { updateUrl, currentVersion } = settings;
      if (updateUrl === undefined || !isDue()) return;
      ESPhttpUpdate.setLedPin(LED_BUILTIN, LOW);
      ESPhttpUpdate.onStart(() => Serial.println('CALLBACK:  HTTP update process started'));
      ESPhttpUpdate.onEnd(() => Serial.println('CALLBACK:  HTTP update process finished'));
      ESPhttpUpdate.onProgress((done, total) => {
        Serial.print(`CALLBACK:  HTTP update process at ${done} of ${total} bytes...\n`);
      });
      ESPhttpUpdate.onError((error) => Serial.print(`CALLBACK:  HTTP update fatal error code ${error}\n`));
      const result = await ESPhttpUpdate.update(new WiFiClient(core.ports), updateUrl, currentVersion);
      printResult(core, result, 'HTTP_UPDATE_FAILD', '\n');
    },
  };
};

/** httpUpdateLittleFS: the file system first, and only if that went well the sketch. */
export const httpUpdateFs: SketchFactory = (core) => {
  const { Serial, ESPhttpUpdate, settings } = core;
  const isDue = schedule(core);
  return {
    async setup() {
      await greet(core);
      configure(core);
      if (settings.updateFsUrl === undefined) hint(core, 'http-update-fs', '--update-fs-url');
    },
    async loop() {
      const { updateUrl, updateFsUrl, currentVersion } = settings;
      if (updateFsUrl === undefined || !isDue()) return;
      ESPhttpUpdate.setLedPin(LED_BUILTIN, LOW);
      const client = new WiFiClient(core.ports);
      Serial.println('Update LittleFS...');
      if ((await ESPhttpUpdate.updateFS(client, updateFsUrl, currentVersion)) !== HTTP_UPDATE_OK) return;
      if (updateUrl === undefined) return;
      Serial.println('Update sketch...');
      printResult(core, await ESPhttpUpdate.update(client, updateUrl, currentVersion), 'HTTP_UPDATE_FAILED', '');
    },
  };
};

/** httpUpdateSigned: only images signed with the build's key are taken, which is the setting `publicKey`. */
export const httpUpdateSigned: SketchFactory = (core) => {
  const { ESPhttpUpdate, settings } = core;
  const isDue = schedule(core);
  return {
    async setup() {
      await greet(core);
      configure(core);
      if (settings.updateUrl === undefined) hint(core, 'http-update-signed', '--update-url');
    },
    async loop() {
      const { updateUrl, currentVersion } = settings;
      if (updateUrl === undefined || !isDue()) return;
      ESPhttpUpdate.setLedPin(LED_BUILTIN, LOW);
      const result = await ESPhttpUpdate.update(new WiFiClient(core.ports), updateUrl, currentVersion);
      printResult(core, result, 'HTTP_UPDATE_FAILED', '\n');
      await core.delay(SIGNED_PAUSE_MS);
    },
  };
};

/** httpUpdateSecure: TLS, checked against authorities; also against a fingerprint, or not at all, when the settings say so. */
export const httpUpdateSecure: SketchFactory = (core) => {
  const { Serial, ESPhttpUpdate, settings } = core;
  const isDue = schedule(core);
  const client = new WiFiClientSecure(core.ports);
  let timeIsKnown = false;

  const waitForTime = async (): Promise<void> => {
    Serial.print('Waiting for NTP time sync: ');
    if (!timeIsKnown) {
      await core.delay(NTP_POLL_MS);
      Serial.print('.');
      timeIsKnown = true;
    }
    Serial.println();
    Serial.print(`Current time: ${asctime(core.time())}`);
  };

  return {
    async setup() {
      await greet(core);
      configure(core);
      const { ca, fingerprint, insecure } = settings;
      const authorities = ca?.split('-----BEGIN CERTIFICATE-----').length ?? 1;
      Serial.println(`Number of CA certs read: ${authorities - 1}`);
      if (insecure) client.setInsecure();
      else if (fingerprint !== undefined) client.setFingerprint(fingerprint);
      else if (ca !== undefined && authorities > 1) client.setTrustAnchors(ca);
      else {
        Serial.println(
          'No certs found. Did you run certs-from-mozill.py and upload the LittleFS directory before running?',
        );
      }
      if (settings.updateUrl === undefined) hint(core, 'http-update-secure', '--update-url');
    },
    async loop() {
      const { updateUrl, currentVersion } = settings;
      if (updateUrl === undefined || !isDue()) return;
      await waitForTime();
      const target = parseUrl(updateUrl);
      const mfln = target !== undefined && (await probeMaxFragmentLength(core.ports, target, FRAGMENT_BYTES));
      Serial.print(`MFLN supported: ${mfln ? 'yes' : 'no'}\n`);
      ESPhttpUpdate.setLedPin(LED_BUILTIN, LOW);
      const result = await ESPhttpUpdate.update(client, updateUrl, currentVersion);
      printResult(core, result, 'HTTP_UPDATE_FAILED', '\n');
    },
  };
};

/** What the longer examples print first. */
async function greet({ Serial, delay }: Core): Promise<void> {
  for (let line = 0; line < 3; line++) Serial.println();
  for (let seconds = SETUP_SECONDS; seconds > 0; seconds--) {
    Serial.print(`[SETUP] WAIT ${seconds}...\n`);
    await delay(1000);
  }
}

function configure({ ESPhttpUpdate, settings }: Core): void {
  if (settings.md5 !== undefined) ESPhttpUpdate.setMD5sum(settings.md5);
  ESPhttpUpdate.setFollowRedirects(REDIRECT_MODES[settings.followRedirects ?? 'disabled']);
}

function printResult({ Serial, ESPhttpUpdate }: Core, result: HTTPUpdateResult, failed: string, lineEnd: string): void {
  switch (result) {
    case HTTP_UPDATE_FAILED:
      Serial.print(
        `${failed} Error (${ESPhttpUpdate.getLastError()}): ${ESPhttpUpdate.getLastErrorString()}${lineEnd}`,
      );
      break;
    case HTTP_UPDATE_NO_UPDATES:
      Serial.println('HTTP_UPDATE_NO_UPDATES');
      break;
    case HTTP_UPDATE_OK:
      Serial.println('HTTP_UPDATE_OK');
      break;
    default:
      result satisfies never;
  }
}

/**
 * Whether an attempt is due: the first at once, each later one an interval after the one before began. Fast time does not
 * shorten the interval, as servers count on it; `millis()` would jump with every delay of a sketch.
 */
function schedule({ settings, clock }: Core): () => boolean {
  const intervalMs = (settings.updateIntervalS ?? 0) * 1000;
  let isDue = true;
  const setDue = (): void => {
    isDue = true;
  };
  return () => {
    if (!isDue) return false;
    if (intervalMs > 0) {
      isDue = false;
      // Rejects only when this life ends; then nobody asks any more, and the sketch's own waits carry the interruption.
      clock.delay(intervalMs, 'peer').then(setDue, () => {});
    }
    return true;
  };
}

function hint(core: Core, sketch: string, option: string): void {
  core.log(`${sketch} asks nobody for updates: no address is set (${option})`);
}

/** C's `asctime` of UTC, its LF included: `Sun Sep 16 01:03:52 1973\n`. */
export function asctime(unixSeconds: number): string {
  const [weekday = '', day = '', month = '', year = '', time = ''] = new Date(unixSeconds * 1000)
    .toUTCString()
    .split(/,? /);
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${time} ${year}\n`;
}
