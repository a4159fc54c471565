/** The core's BasicOTA example: its serial lines and callbacks, quirks included. Source: spec chapter 03 §12.1. */
import { U_FLASH } from '../../ota-services/updater.ts';
import type { SketchFactory } from './sketch.ts';

const ERROR_TEXTS = ['Auth Failed', 'Begin Failed', 'Connect Failed', 'Receive Failed', 'End Failed'];
/** EXCCAUSE of a division by zero. */
const INTEGER_DIVIDE_BY_ZERO = 6;

export const basicOta: SketchFactory = (core) => {
  const { Serial, ArduinoOTA, WiFi, settings } = core;
  return {
    async setup() {
      Serial.println('Booting');
      ArduinoOTA.setPort(settings.otaPort);
      if (settings.hostname !== undefined) ArduinoOTA.setHostname(settings.hostname);
      if (settings.password !== undefined) ArduinoOTA.setPassword(settings.password);
      if (settings.passwordHash !== undefined) ArduinoOTA.setPasswordHash(settings.passwordHash);
      ArduinoOTA.onStart(() => {
        Serial.println(`Start updating ${ArduinoOTA.getCommand() === U_FLASH ? 'sketch' : 'filesystem'}`);
      });
      ArduinoOTA.onEnd(() => {
        Serial.print('\n');
        Serial.println('End');
      });
      ArduinoOTA.onProgress((progress, total) => {
        const percent = Math.floor(total / 100);
        if (percent === 0)
          core.crash(INTEGER_DIVIDE_BY_ZERO, `Progress of an image of ${total} bytes: division by zero`);
        Serial.print(`Progress: ${Math.floor(progress / percent)}%\r`);
      });
      ArduinoOTA.onError((error) => {
        Serial.print(`Error[${error}]: `);
        const text = ERROR_TEXTS[error];
        if (text !== undefined) Serial.println(text);
      });
      await ArduinoOTA.begin(settings.mdns);
      if (ArduinoOTA.address) core.listening('ota', { host: WiFi.localIP(), port: ArduinoOTA.address.port });
      Serial.println('Ready');
      Serial.print('IP address: ');
      Serial.println(WiFi.localIP());
    },
    async loop() {
      await ArduinoOTA.handle();
    },
  };
};
