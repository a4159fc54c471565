import { describe, expect, test } from 'vitest';
import { BytesSource, TimedStream } from '../../ota-services/stream.ts';
import { updateSketch } from '../../ota-services/update-sketch.ts';
import { makeRig, Restarted, type Rig, sketchBytes } from '../support/updater.ts';

const streamOf = (rig: Rig, bytes: Uint8Array): TimedStream => new TimedStream(new BytesSource(bytes), rig.clock);

describe('ESP.updateSketch', () => {
  test('restarts after success unless told not to', async () => {
    const image = sketchBytes(5000);
    const rig = makeRig();
    await expect(updateSketch(rig.update, rig.system, streamOf(rig, image), 5000)).rejects.toThrow(Restarted);
    expect(rig.commands).toEqual([{ source: 0x1fe000, destination: 0, size: 5000 }]);

    const other = makeRig();
    const options = { restartOnSuccess: false, restartOnFail: true };
    expect(await updateSketch(other.update, other.system, streamOf(other, image), 5000, options)).toBe(true);
    expect([other.system.log, other.commands.length]).toEqual([[], 1]);
  });

  const failures: [name: string, bytes: Uint8Array, size: number, error: number][] = [
    ['no room', sketchBytes(5000), 0x200000, 4],
    ['wrong first byte', sketchBytes(5000, { magic: 0 }), 5000, 10],
    ['too few bytes', sketchBytes(4999), 5000, 6],
    ['an image that end refuses', sketchBytes(5000, { nibble: 9 }), 5000, 9],
  ];
  test.each(failures)('%s: false, and a restart only when asked for', async (_name, bytes, size, error) => {
    const rig = makeRig();
    expect(await updateSketch(rig.update, rig.system, streamOf(rig, bytes), size)).toBe(false);
    expect([rig.update.getError(), rig.system.log, rig.commands]).toEqual([error, [], []]);

    const other = makeRig();
    const update = updateSketch(other.update, other.system, streamOf(other, bytes), size, { restartOnFail: true });
    await expect(update).rejects.toThrow(Restarted);
    expect(other.commands).toEqual([]);
  });
});
