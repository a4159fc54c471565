/**
 * `esp8266-ota-emulator/fast-check`: property tests of updates. Arbitraries for images, layouts, chunkings and faults;
 * commands for `fc.asyncModelRun`; and {@link assertInvariants}, which puts them together. Needs the package `fast-check`.
 * What is checked: docs/fault-model.md §6.
 */
import fc from 'fast-check';
import { type CommandConstraints, deviceCommands, type Model } from './fast-check/commands.ts';
import { World, type WorldOptions } from './fast-check/world.ts';

export {
  chunkings,
  type FaultConstraints,
  faultSchedules,
  faults,
  fileSystems,
  type ImageConstraints,
  images,
  layoutNames,
} from './fast-check/arbitraries.ts';
export {
  COMMANDS,
  type CommandConstraints,
  type CommandName,
  type DeviceCommand,
  deviceCommands,
  type Model,
} from './fast-check/commands.ts';
export { type Firmware, type FirmwareOptions, firmwareImage } from './fast-check/images.ts';
export { INVARIANTS, type InvariantId, InvariantViolation } from './fast-check/invariants.ts';
export { World, type WorldOptions } from './fast-check/world.ts';

/**
 * Runs one sequence of commands on a new device.
 *
 * @throws InvariantViolation with the first invariant that does not hold
 */
export async function runDeviceCommands(
  commands: ReturnType<typeof deviceCommands> extends fc.Arbitrary<infer C> ? C : never,
  options: WorldOptions = {},
): Promise<void> {
  const world = await World.start(options);
  try {
    const model: Model = { dead: false };
    await fc.asyncModelRun(() => ({ model, real: world }), commands);
  } finally {
    await world.device.close();
  }
}

/**
 * Checks every invariant of docs/fault-model.md on random lives of a device: uploads, faults, resets, power cycles. A failure
 * is shrunk to the smallest list of commands and faults, and images, that still shows it.
 *
 * @throws Error of fast-check, with the counterexample, the seed and the path to run it again
 * @example await assertInvariants({ path: 'web', device: { core: '2.6.3' } }, { numRuns: 200 });
 */
export async function assertInvariants(
  constraints: CommandConstraints = {},
  parameters: fc.Parameters<[ReturnType<typeof deviceCommands> extends fc.Arbitrary<infer C> ? C : never]> = {},
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(deviceCommands(constraints), (commands) => runDeviceCommands(commands, constraints)),
    parameters,
  );
}
