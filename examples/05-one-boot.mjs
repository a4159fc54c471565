// One run of eboot on plain arrays: a command in RTC memory, an image in the staging area, and the copy.
import { bootOnce, buildImage, encodeEbootCommand } from 'esp8266-ota-emulator';

const running = buildImage({ sketch: 'blank', version: '1.0', size: 20_000, layout: '4m2m' });
const staged = buildImage({ sketch: 'blank', version: '2.0', size: 20_000, layout: '4m2m' });
const flash = new Uint8Array(0x400000).fill(0xff);
flash.set(running, 0);
flash.set(staged, 0x100000);
const rtcUser = new Uint8Array(512);
rtcUser.set(encodeEbootCommand({ action: 1, args: [0x100000, 0, staged.length] }));

const run = await bootOnce({ flash, rtcUser, engine: 'model', core: 'master' });
console.log(run.outcome, `0x${run.entry.toString(16)}`, JSON.stringify(run.uart));
console.log(run.flashOps.map(([kind, address]) => `${kind} 0x${address.toString(16)}`).join(', '));
console.log('copied:', Buffer.compare(flash.subarray(0, staged.length), staged) === 0);
