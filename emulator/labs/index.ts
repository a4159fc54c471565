/** The course of docs/labs. Each lab's goals are what a run that did the work leaves in its event log. */
import { createHash } from 'node:crypto';
import { buildImage } from '../../flash/image-build.ts';
import { is, type Lab, type Personal } from './lab.ts';

export { type Goal, type Grade, grade, type Lab, LabLog, LabLogError } from './lab.ts';

/** The image that most labs have the student build. */
const personal: Personal = {
  version: '2.0',
  md5: (student) => {
    const image = buildImage({ sketch: 'basic-ota', version: '2.0', size: 300_000, layout: '4m2m', seed: student });
    return createHash('md5').update(image).digest('hex');
  },
};

const started = (version: string) => is('app.start', (event) => event.version === version);

const whatIsInABin: Lab = {
  number: 1,
  title: 'What is in a .bin',
  document: '01-what-is-in-a-bin.md',
  goals: [
    {
      text: 'the ROM loaded the boot sector and found its checksum right',
      hint: 'the damaged byte must lie behind 0x1000: what lies before is eboot',
      met: (log) => log.has('rom.boot', ({ checksumOk }) => checksumOk),
    },
    {
      text: 'the application was found to be damaged',
      hint: 'run the image with the changed byte',
      met: (log) => log.has('app.start', ({ identity }) => identity === 'corrupt'),
    },
    {
      text: 'it crashed, again and again, until the device was given up',
      hint: 'let the run go on until `device.dead`',
      met: (log) => log.all('app.crash').length >= 5 && log.has('device.dead', ({ why }) => why === 'crash-loop'),
    },
  ],
};

const watchAnUpdate: Lab = {
  number: 2,
  title: 'Watch an update',
  document: '02-watch-an-update.md',
  personal,
  goals: [
    {
      text: 'an uploader invited the device, and the device connected back to it',
      hint: 'upload new.bin with `vesp upload`',
      met: (log) =>
        log.inOrder(
          is('ota.invite'),
          is('ota.connect', ({ ok }) => ok),
        ),
    },
    {
      text: 'sectors of the staging area were erased, then programmed',
      hint: 'the update must begin; look for update.error',
      met: (log) =>
        log.inOrder(
          is('update.begin'),
          is('flash.erase', ({ area }) => area === 'staging'),
          is('flash.program', ({ area }) => area === 'staging'),
        ),
    },
    {
      text: 'the eboot command was written to RTC memory before the restart, which kept it',
      hint: 'the upload must be complete',
      met: (log) =>
        log.inOrder(
          is('update.end'),
          is('reset', ({ cause, rtcKept }) => cause === 'software' && rtcKept),
        ),
    },
    {
      text: 'eboot found the command, copied sector by sector, and cleared it',
      hint: 'the device must not lose power before that',
      met: (log) =>
        log.inOrder(
          is('eboot.command'),
          is('eboot.copy'),
          is('rtc.write', ({ meaning }) => meaning?.includes('cleared') === true),
        ),
    },
    {
      text: 'version 2.0 runs',
      hint: 'build new.bin with --version 2.0',
      met: (log) => log.inOrder(is('eboot.end'), started('2.0')),
    },
  ],
};

/** Which share of the room between sketch and file system counts as nearly all of it; the hint must not tell the size. */
const NEARLY_ALL = 0.995;

const whereItGoes: Lab = {
  number: 3,
  title: 'Where the new image goes',
  document: '03-where-it-goes.md',
  goals: [
    {
      text: 'an image that is too large was refused with error 4',
      hint: 'layout 1m64 leaves less than half of the flash; build an image of 600,000 bytes',
      met: (log) => log.has('update.error', ({ code }) => code === 4),
    },
    {
      text: 'an image that nearly fills the room was taken and runs',
      hint: 'the room lies between the end of the running sketch and the start of the file system, in whole sectors',
      met: (log) =>
        log.all('update.begin').some(({ size, address }) => {
          const sketch = log.all('app.start')[0]?.size ?? 0;
          const from = Math.ceil(sketch / 4096) * 4096;
          const room = address + Math.ceil(size / 4096) * 4096 - from;
          return (
            size >= NEARLY_ALL * room &&
            log.inOrder(
              is('update.end', (end) => end.size === size),
              is('app.start', (start) => start.size === size),
            )
          );
        }),
    },
  ],
};

const resetIsNotPower: Lab = {
  number: 4,
  title: 'A reset is not a power cut',
  document: '04-reset-is-not-power.md',
  personal,
  goals: [
    {
      text: 'a reset struck while eboot copied version 2.0',
      hint: 'arm reset@copy:100 for the first upload',
      met: (log) =>
        log.inOrder(
          is('eboot.command'),
          fired('reset@copy'),
          is('reset', ({ rtcKept }) => rtcKept),
        ),
    },
    {
      text: 'eboot found the command again, and version 2.0 runs all the same',
      hint: 'the reset must come before eboot clears the command',
      met: (log) => log.inOrder(fired('reset@copy'), is('eboot.command'), started('2.0')),
    },
    {
      text: 'a power cut struck at another copy',
      hint: 'upload version 3.0 with power-cut@copy armed',
      met: (log) =>
        log.inOrder(
          started('2.0'),
          is('eboot.command'),
          fired('power-cut@copy'),
          is('power.off', ({ cause }) => cause === 'fault'),
        ),
    },
    {
      text: 'eboot found no command after it, and the device is dead',
      hint: 'the cut must come while there is still something to copy',
      met: (log) => {
        const cut = log.events.findLastIndex(fired('power-cut@copy'));
        const after = log.events.slice(cut);
        return cut >= 0 && !after.some(is('eboot.command')) && after.some(is('device.dead'));
      },
    },
  ],
};

const pullThePlug: Lab = {
  number: 5,
  title: 'Pull the plug, everywhere',
  document: '05-pull-the-plug.md',
  goals: [
    {
      text: 'power was cut inside an operation of the copy',
      hint: 'replay a result whose id has power-cut@copy and inside',
      met: (log) =>
        log.has('fault.fired', ({ spec }) => spec.startsWith('power-cut@copy') && spec.includes('inside')) &&
        log.inOrder(
          is('eboot.command'),
          fired('power-cut@copy'),
          is('power.off', ({ cause }) => cause === 'fault'),
        ),
    },
    {
      text: 'the torn operation can be seen',
      hint: 'let `replay` write --events',
      met: (log) =>
        log.events.some(
          (event) => (event.type === 'flash.program' || event.type === 'flash.erase') && event.torn !== undefined,
        ),
    },
    {
      text: 'only a serial upload would revive the device',
      hint: 'choose a result with the verdict brick',
      met: (log) =>
        log.inOrder(
          fired('power-cut@copy'),
          is('device.dead', ({ cure }) => cure === 'serial'),
        ),
    },
    {
      text: 'nothing else was done to it: one update, one fault',
      hint: 'hand in what `replay` wrote, of one result',
      met: (log) => log.all('update.begin').length === 1 && log.all('fault.fired').length === 1,
    },
  ],
};

const firstUpload: Lab = {
  number: 6,
  title: 'The first upload is serial',
  document: '06-first-upload.md',
  goals: [
    {
      text: 'the serial loader wrote an image into the flash',
      hint: 'start with --boot download, and flash first.bin',
      met: (log) => log.inOrder(is('loader.start'), is('flash.erase'), is('flash.program')),
    },
    {
      text: 'after a hardware reset with GPIO0 high it runs',
      hint: 'press reset, with FLASH let go (gpio0 = 1)',
      met: (log) =>
        log.inOrder(
          is('loader.start'),
          is('reset', ({ cause }) => cause === 'external'),
          is('straps', ({ latched }) => latched === 3),
          started('1.0'),
        ),
    },
    {
      text: 'an update over the air was refused with error 11',
      hint: 'flash once more, with `soft`, and upload without a reset',
      met: (log) => log.has('update.error', ({ code }) => code === 11),
    },
    {
      text: 'a software restart in that state killed the device',
      hint: 'reset it with the cause `software`',
      met: (log) =>
        log.inOrder(
          is('update.error', ({ code }) => code === 11),
          is('device.dead', ({ why }) => why === 'rom-hang'),
        ),
    },
    {
      text: 'the reset button cured it: version 2.0 came over the air and runs',
      hint: 'reset with the cause `external`, then upload second.bin',
      met: (log) =>
        log.inOrder(
          is('device.dead'),
          is('reset', ({ cause }) => cause === 'external'),
          is('update.end'),
          started('2.0'),
        ),
    },
  ],
};

const signedUpdates: Lab = {
  number: 7,
  title: 'Who may update',
  document: '07-who-may-update.md',
  goals: [
    {
      text: 'the device refused an image without a signature',
      hint: 'upload new.bin as it is (and see that no new.bin.signed lies beside it)',
      met: (log) => log.has('update.error', ({ code }) => code === 12),
    },
    {
      text: 'it refused an image that was signed with another key',
      hint: 'make a second key and sign with it',
      met: (log) => log.all('update.error').filter(({ code }) => code === 12).length >= 2,
    },
    {
      text: 'it took the image signed with its own key, and version 2.0 runs',
      hint: 'the public key on the device must belong to the private key that signs',
      met: (log) => log.inOrder(is('update.error'), is('update.end'), started('2.0')),
    },
  ],
};

const cannotBrick: Lab = {
  number: 8,
  title: 'Design an update that cannot brick',
  document: '08-cannot-brick.md',
  goals: [
    {
      text: 'a reset struck while eboot copied',
      hint: 'replay a result whose id has reset@copy',
      met: (log) =>
        log.inOrder(
          is('eboot.command'),
          fired('reset@copy'),
          is('reset', ({ rtcKept }) => rtcKept),
        ),
    },
    {
      text: 'the copy began again and ended',
      hint: 'core 2.6.3 or newer',
      met: (log) =>
        log.inOrder(
          fired('reset@copy'),
          is('eboot.command'),
          is('eboot.end', ({ result }) => result === 0),
        ),
    },
    {
      text: 'version 2.0 runs',
      hint: 'build new.bin with --version 2.0',
      met: (log) => log.inOrder(fired('reset@copy'), started('2.0')),
    },
    {
      text: 'the device was never dead',
      hint: 'hand in what `replay` wrote, of one result',
      met: (log) => log.has('app.start') && !log.has('device.dead'),
    },
  ],
};

const fired = (beginning: string) => is('fault.fired', ({ spec }) => spec.startsWith(beginning));

export const labs: readonly Lab[] = [
  whatIsInABin,
  watchAnUpdate,
  whereItGoes,
  resetIsNotPower,
  pullThePlug,
  firstUpload,
  signedUpdates,
  cannotBrick,
];
