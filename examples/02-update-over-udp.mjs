// Updates a device over real sockets on 127.0.0.1, with a password, and waits for the new version.
import { buildImage, createDevice, uploadOverOta } from 'esp8266-ota-emulator';

const device = await createDevice({ ota: { port: 0, password: '123' }, http: { port: 0 } });
await device.powerOn();
const { port } = device.address.ota;
console.log(`the device listens on UDP port ${port}`);

const next = buildImage({ sketch: 'basic-ota', version: '2.0', size: 200_000, layout: '4m2m' });
const started = device.next('app.start', { where: (event) => event.version === '2.0', timeoutMs: 30_000 });
const result = await uploadOverOta({ host: '127.0.0.1', port, file: next, password: '123' });
console.log('the uploader says', result);
await started;
console.log('version 2.0 runs');
await device.close();
