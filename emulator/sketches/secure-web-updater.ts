/**
 * The core's SecureBearSSLUpdater example: the web updater behind TLS, at `/firmware`, for admin / admin. Source: spec
 * chapter 04 §13, §14. The certificate is a self-signed one unless the run names another; the clock that the example sets by
 * NTP plays no part in a server.
 */
import { ESP8266WebServerSecure } from '../../ota-services/web-server/web-server-secure.ts';
import type { SketchFactory } from './sketch.ts';
import { type UpdaterExample, updaterSketch } from './web-updater.ts';

const SECURE_WEB_UPDATER: UpdaterExample = {
  scheme: 'https',
  servicePort: 443,
  path: '/firmware',
  user: 'admin',
  password: 'admin',
  greeting: 'BearSSLUpdateServer ready!\n',
};

export const secureWebUpdater: SketchFactory = (core) => {
  if (!core.network.listenTls) {
    core.log('secure-web-updater: the simulated network has no TLS, so nothing listens; use --time fast or real');
    return {};
  }
  const server = new ESP8266WebServerSecure(core.ports, core.settings.httpsPort);
  const { cert, key } = core.tlsIdentity();
  server.getServer().setECCert(cert, key);
  return updaterSketch(core, SECURE_WEB_UPDATER, server);
};
