// Reset, power cycle: two different verbs. RTC memory, where the eboot command lives, survives only the first.
import { buildImage, createDevice } from 'esp8266-ota-emulator';

const COUNTER = 128; // byte offset: behind the eboot command, which has the first 128 bytes

const device = await createDevice({
  image: buildImage({ sketch: 'blank', version: '1.0', size: 40_000, layout: '4m2m' }),
  clock: 'virtual',
});
await device.powerOn();
console.log(`a reset keeps RTC memory, a power cycle does not:`);
device.rtc.writeUserWord(COUNTER, 42);
await device.reset('external');
console.log(`after the reset: ${device.rtc.readUserWord(COUNTER)}`);
await device.powerOff();
await device.powerOn();
console.log(`after the power cycle: ${device.rtc.readUserWord(COUNTER) === 42 ? 42 : 'noise'}`);
await device.close();
