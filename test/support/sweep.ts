/** Small updates for tests of the sweep engine. */
import { runReference } from '../../emulator/sweep/reference.ts';
import type { Reference } from '../../emulator/sweep/reference-data.ts';
import type { Subject } from '../../emulator/sweep/subject.ts';
import { World } from '../../emulator/sweep/world.ts';
import { buildImage } from '../../flash/image-build.ts';

export const SWEEP_LAYOUT = '1m64';

export const sweepImage = (sketch: string, version: string, size: number, core = 'master'): Uint8Array =>
  buildImage({ sketch, version, size, layout: SWEEP_LAYOUT, core });

export const subjectOf = (subject: Partial<Subject> & Pick<Subject, 'firmware' | 'update'>): Subject => ({
  path: 'arduino-ota',
  target: 'sketch',
  layout: SWEEP_LAYOUT,
  seed: 1,
  atomicFs: false,
  bootloader: 'model',
  ...subject,
});

/** 8 and 9 sectors over ArduinoOTA. */
export const smallSubject = (core?: string): Subject =>
  subjectOf({
    firmware: sweepImage('basic-ota', '1.0', 32_000, core),
    update: sweepImage('basic-ota', '2.0', 34_000, core),
    core,
  });

/** The reference run of {@link smallSubject} and its parts. */
export async function smallWorld(core?: string): Promise<{ subject: Subject; reference: Reference; world: World }> {
  const subject = smallSubject(core);
  const reference = await runReference(subject);
  return { subject, reference, world: new World(reference) };
}
