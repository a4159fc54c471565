/**
 * Power-cut sweeps of a 440 KiB ArduinoOTA update: one trial (fork, cut, boot, recovery copy, verdict) against the same on a
 * device; whole sweeps against the time that they may take; two threads against one. A row checks what it found.
 *
 * With ESP8266_IMAGES=OLD.bin:NEW.bin, two real images, also the rate at which their own bootloader is executed.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const IMAGE_BYTES = 440 * 1024;
const LAYOUT = '4m2m';
const ROUNDS = 5;
/** Rounds that do not count: code is compiled meanwhile. */
const WARM_UP = 4;
/** Goals: all points before, inside and after; all pairs of a reset and a power cut in the copy. */
const POINTS_GOAL_S = 5;
const PAIRS_GOAL_S = 300;
const TRIALS_GOAL = 10_000;

export async function* rows(load) {
  const { buildImage, powerCutSweep } = await load('emulator/index.js');
  const image = (version) => buildImage({ sketch: 'basic-ota', version, size: IMAGE_BYTES, layout: LAYOUT });
  const from = image('1.0');
  const to = image('2.0');
  const sweep = (options) => powerCutSweep({ from, to, layout: LAYOUT, ...options });

  yield* trials(load, { from, to });
  if (process.env.ESP8266_IMAGES) yield* executed(powerCutSweep, process.env.ESP8266_IMAGES.split(':'));

  const points = [];
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const report = await sweep({});
    if (report.points !== 3 * sum(report.operations) || report.verdicts.corrupt !== 0) throw new Error('wrong points');
    if (round >= 0) points.push(report.seconds);
  }
  yield row('sweep: all points, 440 KiB', `${POINTS_GOAL_S} s`, points, POINTS_GOAL_S);

  const pairs = [];
  const single = [];
  for (let round = 0; round < 2; round++) {
    const options = { fault: 'reset+power-cut', depth: 2, points: ['before'] };
    const one = await sweep({ ...options, jobs: 1 });
    const two = await sweep({ ...options, jobs: 2 });
    if (one.trials !== two.trials || one.trials < 1_600_000) throw new Error(`wrong pairs: ${one.trials}`);
    single.push(one.seconds);
    pairs.push(two.seconds);
  }
  yield row('sweep: all pairs, 2 jobs', `${PAIRS_GOAL_S} s`, pairs, PAIRS_GOAL_S);
  const ratios = pairs.map((seconds, i) => single[i] / seconds);
  const name = `sweep: 2 jobs (${availableParallelism()} CPUs)`;
  yield { name, versus: '1 job', ...spread(ratios), nanoseconds: Math.min(...pairs) * 1e9 };
}

/** Trials a second of real code, against those of the model in the same round; a tenth is wanted. */
async function* executed(powerCutSweep, [oldPath, newPath]) {
  const update = { from: readFileSync(oldPath), to: readFileSync(newPath), layout: LAYOUT, jobs: 1 };
  for (const fault of ['reset', 'power-cut']) {
    const ratios = [];
    let nanoseconds = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const [native, model] = [
        await powerCutSweep({ ...update, fault, engine: 'native' }),
        await powerCutSweep({ ...update, fault, engine: 'model' }),
      ];
      if (JSON.stringify(native.verdicts) !== JSON.stringify(model.verdicts)) throw new Error('the engines disagree');
      ratios.push(native.trials / native.seconds / (model.trials / model.seconds));
      nanoseconds = (native.seconds / native.trials) * 1e9;
    }
    yield { name: `sweep: ${fault}, executed`, versus: 'the model', ...spread(ratios), nanoseconds };
  }
}

/** One trial after a reset in the copy: a whole recovery copy each. */
async function* trials(load, { from, to }) {
  const { runReference } = await load('emulator/sweep/reference.js');
  const { World } = await load('emulator/sweep/world.js');
  const { Engine } = await load('emulator/sweep/engine.js');
  const { runOnDevice } = await load('emulator/sweep/device-run.js');
  const subject = {
    path: 'arduino-ota',
    target: 'sketch',
    firmware: from,
    update: to,
    layout: LAYOUT,
    seed: 1,
    atomicFs: false,
    bootloader: 'model',
  };
  const reference = await runReference(subject);
  const plan = { kinds: ['reset'], points: ['before', 'after'], depth: 1, secondKinds: [], retry: false };
  const rates = [];
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const world = new World(reference);
    const engine = new Engine(world, plan);
    const first = world.operations.find('copy', 0);
    engine.visit(first, { point() {}, trials() {} });
    let count = 0;
    const sink = {
      point(_, outcome) {
        if (outcome.verdict !== 'new') throw new Error(`a reset in the copy came to ${outcome.verdict}`);
      },
      trials(more) {
        count += more;
      },
    };
    const start = process.hrtime.bigint();
    for (let boundary = first + 1; boundary < engine.boundaries; boundary++) engine.visit(boundary, sink);
    if (round >= 0) rates.push(count / (Number(process.hrtime.bigint() - start) / 1e9));
  }
  const nanoseconds = 1e9 / median(rates);
  yield {
    name: 'sweep: trial with recovery, 440 KiB',
    versus: `${TRIALS_GOAL} a second`,
    ...spread(rates.map((rate) => rate / TRIALS_GOAL)),
    nanoseconds,
  };
  const device = [];
  for (let i = 0; i < ROUNDS; i++) {
    const start = process.hrtime.bigint();
    const { verdict } = await runOnDevice(subject, reference, [
      { kind: 'reset', phase: 'copy', op: 300 * i, point: 'before' },
    ]);
    if (verdict !== 'new') throw new Error(`on a device it came to ${verdict}`);
    device.push(Number(process.hrtime.bigint() - start) / nanoseconds);
  }
  yield { name: 'the same', versus: 'a device, from the start', ...spread(device), nanoseconds };
}

const ascending = (a, b) => a - b;
const median = (values) => values.toSorted(ascending)[values.length >> 1];
const sum = (counts) => Object.values(counts).reduce((a, b) => a + b);
const spread = (ratios) => ({
  ratio: median(ratios),
  low: Math.min(...ratios),
  high: Math.max(...ratios),
  unit: 'times faster',
});
const row = (name, versus, seconds, goal) => ({
  name,
  versus,
  ...spread(seconds.map((time) => goal / time)),
  nanoseconds: median(seconds) * 1e9,
});
