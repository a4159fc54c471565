/**
 * A 1 MiB upload over the air, against a bare receiver that acknowledges and makes the same pauses: 1.00 is a device whose
 * flash, MD5 and events cost nothing. The uploader is the same one in both cases, and the time is its own.
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { compare } from '../harness.mjs';

const IMAGE_BYTES = 1024 * 1024;
const ROUNDS = 7;
/** The pause that uploaders need before the final `OK`; `--time fast` keeps it (spec chapter 03 §11.1). */
const BEFORE_OK_MS = 1000;

export async function* rows(load) {
  const { buildImage, createDevice, uploadOverOta } = await load('emulator/index.js');
  const image = buildImage({ sketch: 'basic-ota', version: '2.0', size: IMAGE_BYTES, layout: '4m2m' });
  const device = await createDevice({ ota: { port: 0 }, http: { port: 0 } });
  await device.powerOn();
  const receiver = await bareReceiver(image);
  const upload = async (port) => {
    const result = await uploadOverOta({ host: '127.0.0.1', port, file: image });
    if (!result.ok) throw new Error(`the upload failed: ${result.message}`);
    return result;
  };
  try {
    yield* await compare({
      name: 'upload 1 MiB, --time fast',
      calls: 1,
      rounds: ROUNDS,
      ours: async () => {
        // The restart counts too: the next upload needs a device that listens.
        const started = device.next('app.start', { timeoutMs: 60_000 });
        const result = await upload(device.address.ota.port);
        await started;
        await device.settled();
        return result;
      },
      rivals: { 'bare receiver, same pauses': () => upload(receiver.port) },
      check: (result, who) => {
        if (!result.ok) throw new Error(`${who}: ${JSON.stringify(result)}`);
      },
    });
  } finally {
    receiver.close();
    await device.close();
  }
}

/** Answers OK, connects, acknowledges what it reads, checks the MD5, pauses, says OK. */
async function bareReceiver(image) {
  const wanted = createHash('md5').update(image).digest('hex');
  const socket = createSocket('udp4');
  socket.on('message', (data, from) => {
    const [, port, size] = data.toString().split(' ');
    socket.send('OK', from.port, from.address);
    const connection = connect({ host: from.address, port: Number(port), noDelay: true });
    const hash = createHash('md5');
    let received = 0;
    connection.on('error', () => {});
    connection.on('data', async (chunk) => {
      hash.update(chunk);
      received += chunk.length;
      connection.write(String(chunk.length));
      if (received < Number(size)) return;
      await pause(BEFORE_OK_MS);
      connection.end(hash.digest('hex') === wanted ? 'OK' : 'ERROR');
    });
  });
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { port: socket.address().port, close: () => socket.close() };
}
