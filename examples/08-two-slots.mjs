// What would a design have saved that never writes over what it cannot restore? The same update with eboot, with a
// bootloader that keeps its command in flash, and, computed from the numbers, with two slots.
import { layoutByName, powerCutSweep, soundDesign } from 'esp8266-ota-emulator';

const LAYOUT = '4m2m';
const SECTOR = 4096;
const map = layoutByName(LAYOUT);

const eboot = await powerCutSweep({ layout: LAYOUT });
const journal = await powerCutSweep({ layout: LAYOUT, alter: soundDesign(map) });
const sum = (phases) => Object.values(phases).reduce((a, b) => a + b, 0);
const show = (name, { operations, points, verdicts }) =>
  console.log(`${name}: ${sum(operations)} operations, ${points} power cuts, ${verdicts.brick} bricks`);
show('eboot           ', eboot);
show('journal in flash', journal);

// Two slots: the download goes into the slot that does not run, and one page program chooses it. Nothing is copied.
const { staging } = eboot.operations;
console.log(`two slots       : ${staging + 1} operations (computed), none of them on anything that runs`);
console.log(`saved           : ${sum(eboot.operations) - staging - 1} operations, of which 34 are words of RTC memory`);

// The room: eboot needs the new image beside the old one; two slots need a sector for the choice besides.
console.log('\nlayout   eboot    two slots  (largest sketch that can replace one of its size)');
for (const name of ['512k', '1m', '1m64', '1m256', '2m512', '4m2m']) {
  const { fsStart, sketchMax } = layoutByName(name);
  const half = (bytes) => Math.floor(bytes / 2 / SECTOR) * SECTOR;
  const once = Math.min(sketchMax, half(fsStart));
  const twice = Math.min(sketchMax, half(fsStart - 2 * SECTOR));
  console.log(`${name.padEnd(9)}${String(once).padEnd(9)}${twice}`);
}
