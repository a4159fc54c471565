/**
 * The core's WebUpdater example: a form at `/update` that takes firmware and file systems from a browser or curl; and what
 * it has in common with SecureBearSSLUpdater. Source: spec chapter 04 §9, §14. Settings beyond the examples' (credentials,
 * path, port) change only what they name; a password that was set is printed as stars, as no log of ours shows one.
 */
import { ESP8266HTTPUpdateServer } from '../../ota-services/http-update-server/http-update-server.ts';
import { ESP8266WebServer } from '../../ota-services/web-server/web-server.ts';
import type { Core, Sketch, SketchFactory } from './sketch.ts';

/** Host name of the examples. */
export const WEB_UPDATER_HOST = 'esp8266-webupdate';

/** What one of the examples has of its own. */
export interface UpdaterExample {
  readonly scheme: 'http' | 'https';
  /** What it announces by mDNS, whatever port the host forwards to it. */
  readonly servicePort: number;
  readonly path: string;
  /** Empty: no credentials. */
  readonly user: string;
  readonly password: string;
  /** What it prints before the invitation to open its page. */
  readonly greeting: string;
}

const WEB_UPDATER: UpdaterExample = {
  scheme: 'http',
  servicePort: 80,
  path: '/update',
  user: '',
  password: '',
  greeting: 'HTTPUpdateServer ready! ',
};

export const webUpdater: SketchFactory = (core) =>
  updaterSketch(core, WEB_UPDATER, new ESP8266WebServer(core.ports, core.settings.httpPort));

/** @param server not begun yet */
export function updaterSketch(core: Core, example: UpdaterExample, server: ESP8266WebServer): Sketch {
  const { Serial, settings, MDNS, ports } = core;
  const updater = new ESP8266HTTPUpdateServer({
    update: core.Update,
    flash: core.ESP.flash,
    clock: core.clock,
    system: ports.system,
    print: (text) => Serial.print(text),
  });
  return {
    async setup() {
      const { scheme, servicePort } = example;
      const host = settings.hostname ?? WEB_UPDATER_HOST;
      const path = settings.httpPath ?? example.path;
      const user = settings.httpUser ?? example.user;
      const password = settings.httpPassword ?? example.password;
      Serial.println();
      Serial.println('Booting Sketch...');
      if (settings.mdns) MDNS?.begin(host);
      updater.setup(server, path, user, password);
      await server.begin();
      const { local } = server;
      if (local) core.listening(scheme, { host: local.address, port: local.port });
      if (settings.mdns) MDNS?.addService(scheme, 'tcp', servicePort);
      const shown = settings.httpPassword === undefined ? password : '*****';
      const login = user !== '' && password !== '' ? ` and login with username '${user}' and password '${shown}'` : '';
      Serial.print(`${example.greeting}Open ${scheme}://${host}.local${path} in your browser${login}\n`);
    },
    async loop() {
      await server.handleClient();
      if (settings.mdns) await MDNS?.update();
    },
  };
}
