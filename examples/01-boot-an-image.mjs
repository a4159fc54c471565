// Builds an image, boots it on a virtual NodeMCU, and looks at what happened. Nothing waits: time is virtual.
import { buildImage, createDevice, parseImage } from 'esp8266-ota-emulator';

const image = buildImage({ sketch: 'basic-ota', version: '1.0', size: 300_000, layout: '4m2m' });
console.log(`built: ${image.length} bytes, boot sector of core ${parseImage(image).eboot?.build}`);

const device = await createDevice({ board: 'nodemcuv2', layout: '4m2m', image, clock: 'virtual' });
const { state } = await device.powerOn();
console.log(`state: ${state}`);
console.log(device.serial.text());

const [started] = device.events.recent('app.start');
console.log(`runs version ${started.version}, md5 ${started.md5}`);
console.log('first bytes in flash:', Buffer.from(device.flash.read(0, 8)).toString('hex'));
await device.close();
