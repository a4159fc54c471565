/** An update server on the simulated network that answers one request as `serve` does. Source: design.md §4. */
import { createHash } from 'node:crypto';
import { decide, readDeviceRequest } from '../../../ota-services/update-server/decide.ts';
import type { PeerConnection } from '../../network/simulated-peer.ts';
import type { Drive, Peer } from './drive.ts';
import { head, readMessage } from './http-text.ts';
import { SERVER_ADDRESS, SERVER_PORT } from './options.ts';
import { Pump } from './pump.ts';

/** A sketch asks at the latest after its interval; one that asks nobody never does. */
const REQUEST_US = 60_000_000;

export function httpUpdate(drive: Drive): Peer {
  const { device, network, options } = drive;
  const listener = network.listenTcp(SERVER_ADDRESS, SERVER_PORT);
  const connections: PeerConnection[] = [];
  let pump: Pump | undefined;
  let asked = false;
  const stop = device.events.subscribe((event) => {
    if (event.type !== 'httpupdate.end' || !asked) return;
    if (event.result === 'ok') drive.peerDone();
    else drive.fail(event.result === 'failed' ? (event.message ?? 'the update failed') : 'there is no update');
  });
  listener.onConnection((connection) => {
    connections.push(connection);
    let text = '';
    connection.onData((data) => {
      text = (text + Buffer.from(data).toString('latin1')).slice(0, 8192);
      const request = readMessage(text, false);
      if (!request || asked) return;
      asked = true;
      drive.expectWithin(options.limitUs ?? 600_000_000, 'the download did not end');
      pump = new Pump(connection, answer(drive, Object.fromEntries(request.headers)), options.chunk);
    });
  });
  drive.expectWithin(REQUEST_US, 'the running firmware asks nobody for an update');
  return {
    step() {
      pump?.step();
      // One request a connection: FIN behind the last byte.
      if (pump?.done && connections[0]?.state === 'open') connections[0].end();
    },
    close() {
      stop();
      listener.close();
      for (const connection of connections) connection.reset();
    },
  };
}

function answer(drive: Drive, headers: Readonly<Record<string, string>>): Uint8Array[] {
  const { image, md5 } = drive.options;
  const own = createHash('md5').update(image).digest('hex');
  const request = readDeviceRequest(headers);
  if (!request) return [head('HTTP/1.1 403 Forbidden', close(0))];
  const decision = decide(request, [{ size: image.length, sketchMd5s: [own] }]);
  if ('reason' in decision) {
    const body = Buffer.from(`${decision.reason}\n`);
    return [
      head(
        `HTTP/1.1 ${decision.status} ${decision.status === 404 ? 'Not Found' : 'Internal Server Error'}`,
        close(body.length),
      ),
      body,
    ];
  }
  if (decision.status === 304) return [head('HTTP/1.1 304 Not Modified', [['Connection', 'close']])];
  const fields = [
    ['Content-Type', 'application/octet-stream'],
    ['Content-Length', decision.body ? image.length : 0],
    ...(md5 === null ? [] : [['x-MD5', md5 ?? own] as const]),
    ['Connection', 'close'],
  ] as const;
  return [head('HTTP/1.1 200 OK', fields), ...(decision.body ? [image] : [])];
}

const close = (length: number) =>
  [
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['Content-Length', length],
    ['Connection', 'close'],
  ] as const;
