// Random lives of a device: uploads, faults, resets, power cycles. What must stay true is in docs/fault-model.md.
// Needs the package fast-check: npm install --save-dev fast-check
import { assertInvariants } from 'esp8266-ota-emulator/fast-check';

await assertInvariants({ path: 'web' }, { seed: 1, numRuns: 20 });
console.log('web updates with the core of today: every invariant holds in 20 random lives');

// Up to core 2.6.2 the bootloader forgot the command before it copied.
const old = { device: { core: '2.6.2' }, commands: ['arm', 'upload'], maxImageSize: 20_000, faults: { maxOp: 60 } };
try {
  await assertInvariants(old, { seed: 2, numRuns: 400 });
} catch (error) {
  const [smallest] = /Counterexample: .*/.exec(error.message);
  console.log(`with core 2.6.2: ${smallest}`);
  console.log(error.cause.message);
}
