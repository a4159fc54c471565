import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'vitest';
import { buildImage, createDevice } from '../../emulator/index.ts';
test('speed', async () => {
  const fs = new Uint8Array(0x100000).fill(7);
  const server = createServer((_q, r) => void r.setHeader('Content-Length', fs.length).end(fs));
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  const port = (server.address() as AddressInfo).port;
  const { execFileSync, execFile } = await import('node:child_process');
  for (let i = 0; i < 5; i++) {
    const t = performance.now();
    await new Promise<void>((done) => execFile('curl', ['-s', '-o', '/dev/null', `http://127.0.0.1:${port}/`], () => done()));
    console.log('curl', performance.now() - t);
  }
  void execFileSync;
  const device = await createDevice({ image: buildImage({ sketch: 'http-update-fs', version: '1', settings: { 'update-fs-url': `http://127.0.0.1:${port}/` } }), mdns: false });
  device.events.subscribe((e) => { if (e.type === 'httpupdate.request') console.log('req', performance.now()); if (e.type === 'httpupdate.end') console.log('end', performance.now()); });
  await device.powerOn();
  await new Promise((r) => setTimeout(r, 1500));
  await device.close();
  server.closeAllConnections(); server.close();
});
