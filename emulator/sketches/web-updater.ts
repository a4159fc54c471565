/**
 * The core's WebUpdater example: a form at `/update` that takes firmware and file systems from a browser or curl.
 * Source: spec chapter 04 §9, §14. Settings beyond the example's (credentials, path, port) change only what they name; a
 * password is printed as stars, as no log of ours shows one.
 */
import { ESP8266HTTPUpdateServer } from '../../ota-services/http-update-server/http-update-server.ts';
import { ESP8266WebServer } from '../../ota-services/web-server/web-server.ts';
import type { SketchFactory } from './sketch.ts';

const DEFAULT_HOST = 'esp8266-webupdate';
/** What the example announces by mDNS, whatever port the host forwards to it. */
const HTTP_SERVICE_PORT = 80;

export const webUpdater: SketchFactory = (core) => {
  const { Serial, settings, MDNS, ports } = core;
  const server = new ESP8266WebServer(ports, settings.httpPort);
  const updater = new ESP8266HTTPUpdateServer({
    update: core.Update,
    flash: core.ESP.flash,
    clock: core.clock,
    system: ports.system,
    print: (text) => Serial.print(text),
  });
  return {
    async setup() {
      const host = settings.hostname ?? DEFAULT_HOST;
      const { httpPath, httpUser = '', httpPassword = '' } = settings;
      Serial.println();
      Serial.println('Booting Sketch...');
      if (settings.mdns) MDNS?.begin(host);
      updater.setup(server, httpPath, httpUser, httpPassword);
      await server.begin();
      const { local } = server;
      if (local) core.listening('http', { host: local.address, port: local.port });
      if (settings.mdns) MDNS?.addService('http', 'tcp', HTTP_SERVICE_PORT);
      const login =
        httpUser !== '' && httpPassword !== '' ? ` and login with username '${httpUser}' and password '*****'` : '';
      Serial.print(`HTTPUpdateServer ready! Open http://${host}.local${httpPath} in your browser${login}\n`);
    },
    async loop() {
      await server.handleClient();
      if (settings.mdns) await MDNS?.update();
    },
  };
};
