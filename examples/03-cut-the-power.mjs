// The same update three times, with the power cut at three places. Where it strikes decides what is left.
import { buildImage, createDevice, uploadOverOta } from 'esp8266-ota-emulator';

const build = (version) => buildImage({ sketch: 'basic-ota', version, size: 60_000, layout: '4m2m' });

for (const fault of ['power-cut@staging:20:inside', 'power-cut@command:3', 'power-cut@copy:20:inside']) {
  const device = await createDevice({
    image: build('1.0'),
    ota: { port: 0 },
    http: { port: 0 },
    faults: [fault],
    seed: 1,
  });
  await device.powerOn();
  const fired = device.next('power.off');
  const upload = uploadOverOta({ host: '127.0.0.1', port: device.address.ota.port, file: build('2.0') });
  await fired;
  const after = await device.powerOn(); // plug it in again
  const version = device.events.recent('app.start').at(-1)?.version ?? 'nothing';
  console.log(`${fault}: ${after.state === 'running' ? `version ${version} runs` : `${after.state}, ${after.why}`}`);
  await device.close();
  await upload;
}
