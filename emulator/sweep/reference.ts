/**
 * The one run of the update without a fault, on a real device: what the chip held before, every operation in order, and
 * what the chip held afterwards.
 */
import type { Device } from '../device.ts';
import { judgeDevice } from './device-run.ts';
import { settle } from './drive/index.ts';
import { SweepInputError } from './errors.ts';
import { OperationRecorder } from './operations.ts';
import type { Reference } from './reference-data.ts';
import { layoutOf, payloadOf, type Subject, sendUpdate, start, subjectDevice } from './subject.ts';

/**
 * Runs the update once and writes everything down.
 *
 * @throws SweepInputError when the old image does not start, or the device refuses the update
 */
export async function runReference(subject: Subject): Promise<Reference> {
  const device = await subjectDevice(subject);
  try {
    await mustRun(device);
    const { reference, state } = await recordUpdate(device, subject);
    return { ...reference, undisturbed: await judgeDevice(device, state, reference) };
  } finally {
    await device.close();
  }
}

async function mustRun(device: Device): Promise<void> {
  const state = await start(device);
  if (state?.state === 'running') return;
  const why = state?.state === 'dead' ? state.message : `it is ${state?.state ?? 'waiting for something'}`;
  throw new SweepInputError(`--from: the device does not start with this image: ${why}`);
}

/** Records one update of a running device. */
export async function recordUpdate(
  device: Device,
  subject: Subject,
): Promise<{ reference: Reference; state: Device['state'] }> {
  const { chip } = device.flash;
  const before = chip.peek(0, chip.capacityBytes);
  const rtc = device.rtc.snapshot();
  const oldLength = appLength(device);
  const recorder = new OperationRecorder();
  const stop = listen(device, recorder);
  const result = await sendUpdate(device, subject);
  if (!result.ok) {
    throw new SweepInputError(`the update fails without any fault: ${result.error ?? 'the device did not take it'}`);
  }
  const state = await settle(device);
  stop();
  const layout = layoutOf(subject);
  const { arrays, length } = recorder.finish();
  if (length === 0) throw new SweepInputError('the update changed nothing: there is no operation to cut at');
  return {
    reference: {
      before,
      after: chip.peek(0, chip.capacityBytes),
      rtc,
      operations: arrays,
      target: subject.target,
      fsStart: layout.fsStart,
      fsEnd: layout.fsEnd,
      oldLength,
      payload: payloadOf(subject),
      seed: subject.seed,
      core: subject.core,
    },
    state,
  };
}

/** Writes down every operation before it happens; returns the function that ends that. */
function listen(device: Device, recorder: OperationRecorder): () => void {
  const { chip } = device.flash;
  const { faults } = chip;
  const { gate } = device.rtc;
  chip.faults = {
    decide(operation) {
      if (operation.kind !== 'read') {
        recorder.add(operation.kind, device.phase, operation.address, operation.data);
      }
      return faults?.decide(operation);
    },
  };
  device.rtc.gate = {
    before(offset, value) {
      recorder.add('rtc', device.phase === 'copy' ? 'clear' : 'command', offset, undefined, value);
      gate?.before?.(offset, value);
    },
    after: (offset, value) => gate?.after?.(offset, value),
  };
  return () => {
    chip.faults = faults;
    device.rtc.gate = gate;
  };
}

/** Size of the sketch that started last. */
function appLength(device: Device): number {
  return device.events.recent('app.start').at(-1)?.size ?? 0;
}
