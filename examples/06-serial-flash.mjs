// Flashes over the serial port with Espressif's own esptool-js (npm install esptool-js), where there is no Python.
//   node 06-serial-flash.mjs                                 a blank device of its own, and a small firmware
//   node 06-serial-flash.mjs HOST:PORT FILE [ADDRESS [soft]]   a device started with: vesp run --serial tcp:PORT
// With `soft` it starts the sketch without a reset, as esptool's soft_reset does: then OTA is refused until there is one.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { buildImage, createDevice } from 'esp8266-ota-emulator';
import { ESPLoader, Transport } from 'esptool-js';

/** What esptool-js wants of a browser's Web Serial port, over TCP. DTR and RTS do not exist there. */
function webSerial(host, port) {
  let socket;
  const self = {
    readable: null,
    writable: null,
    getInfo: () => ({}),
    async setSignals() {},
    async setBaudRate() {},
    async open() {
      socket = connect({ host, port, noDelay: true });
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      self.readable = new ReadableStream({
        start(controller) {
          socket.on('data', (bytes) => controller.enqueue(bytes));
          socket.once('close', () => controller.close());
        },
      });
      self.writable = new WritableStream({
        write: (bytes) => new Promise((done) => socket.write(bytes, () => done())),
      });
    },
    async close() {
      await new Promise((done) => socket.end(done)); // after everything that was written
    },
  };
  return self;
}

async function flash(host, port, data, address, after) {
  const transport = new Transport(webSerial(host, port));
  const quiet = { clean() {}, write() {}, writeLine: (line) => /^(Chip|MAC|Hash)/.test(line) && console.log(line) };
  console.debug = () => {};
  transport.trace = () => {};
  const loader = new ESPLoader({ transport, baudrate: 115_200, terminal: quiet });
  await loader.main('no_reset'); // its SYNC brings the loader; there are no lines to do it
  await loader.writeFlash({
    fileArray: [{ data, address }],
    flashSize: 'keep',
    flashMode: 'keep',
    flashFreq: 'keep',
    eraseAll: false,
    compress: true,
    calculateMD5Hash: (bytes) => createHash('md5').update(bytes).digest('hex'),
  });
  console.log(`wrote ${data.length} bytes at 0x${address.toString(16)}${after ? '' : '; press reset to start them'}`);
  if (after === 'soft') await loader.after('soft_reset');
  await transport.device.close();
}

const [where, file, address = '0', after] = process.argv.slice(2);
if (where) {
  const [host, port] = where.split(':');
  await flash(host, Number(port), await readFile(file), Number(address), after);
} else {
  const ports = { ota: { port: 0 }, http: { port: 0 } };
  const device = await createDevice({ ...ports, boot: 'download', serial: { transport: 'tcp', port: 0 } });
  console.log('a blank chip:', (await device.powerOn()).state);
  const { host, port } = device.address.serial;
  const firmware = buildImage({ sketch: 'basic-ota', version: '1.0', size: 200_000, layout: '4m2m' });
  await flash(host, port, firmware, 0);
  device.straps.gpio0 = 1; // FLASH is let go
  const started = device.next('app.start');
  await device.reset('external');
  console.log('it runs version', (await started).version);
  await device.close();
}
process.exit(0); // esptool-js leaves its read loop waiting
