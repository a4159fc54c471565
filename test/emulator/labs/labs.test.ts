/** Grading: a log that shows the work passes, and each goal fails when what it asks for is not in the log. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { buildImage, createDevice, type Device, type DeviceEventType, type Stamped } from '../../../emulator/index.ts';
import { grade, type Lab, LabLog, LabLogError, labs } from '../../../emulator/labs/index.ts';
import { deviceOptionsFor, driveUpdate, settle } from '../../../emulator/sweep/drive/index.ts';

const documents = fileURLToPath(new URL('../../../docs/labs/', import.meta.url));
const STUDENT = 4711;

let device: Device | undefined;
afterEach(async () => {
  await device?.close();
  device = undefined;
});

const lab = (number: number): Lab => labs.find((one) => one.number === number)!;
const image = (version: string, size: number, seed = 1): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size, layout: '4m2m', seed });

/** What lab 2 has a student do. */
async function labTwo(): Promise<Stamped[]> {
  device = await createDevice({
    ...deviceOptionsFor('arduino-ota', 'sketch'),
    image: image('1.0', 280_000),
    layout: '4m2m',
  });
  const events: Stamped[] = [];
  device.events.subscribe((event) => events.push(event));
  const on = device.powerOn();
  await settle(device);
  await on;
  await driveUpdate(device, { path: 'arduino-ota', target: 'sketch', image: image('2.0', 300_000, STUDENT) });
  await settle(device);
  return events;
}

describe('labs', () => {
  test('each has its text, and each text its lab', () => {
    for (const { document } of labs) expect(existsSync(`${documents}${document}`), document).toBe(true);
    const texts = readdirSync(documents).filter((name) => /^\d\d-.*\.md$/.test(name));
    expect(labs.map(({ document }) => document)).toEqual(texts.sort());
  });

  test('an empty run meets no goal of any lab', () => {
    for (const one of labs) {
      expect(
        grade(one, LabLog.of([])).filter(({ met }) => met),
        `lab ${one.number}`,
      ).toEqual([]);
    }
  });

  test('the work of lab 2 meets its goals, for the student whose image it was and for nobody else', async () => {
    const log = LabLog.of(await labTwo());
    expect(grade(lab(2), log, STUDENT).filter(({ met }) => !met)).toEqual([]);
    const others = grade(lab(2), log, STUDENT + 1).filter(({ met }) => !met);
    expect(others.map(({ goal }) => goal)).toEqual([`version 2.0 was built by student ${STUDENT + 1}`]);
  });

  test('each goal of lab 2 fails without the events that it is about', async () => {
    const events = await labTwo();
    const removed: DeviceEventType[] = ['ota.invite', 'flash.erase', 'update.end', 'eboot.command', 'app.start'];
    for (const [index, type] of removed.entries()) {
      const without = LabLog.of(events.filter((event) => event.type !== type));
      expect(grade(lab(2), without)[index]?.met, type).toBe(false);
    }
  });

  test('what is no log is told with its line', () => {
    expect(() => LabLog.parse('{"seq":1,"type":"power.on"}\nnonsense\n', 'x.jsonl')).toThrow(LabLogError);
    expect(() => LabLog.parse('{"seq":1,"type":"power.on"}\nnonsense\n', 'x.jsonl')).toThrow('x.jsonl, line 2');
    expect(() => LabLog.parse('\n\n', 'x.jsonl')).toThrow('has no events');
  });

  test('lines that were taken out, doubled or moved are told; several runs in one file are not', async () => {
    const lines = (await labTwo()).map((event) => JSON.stringify(event));
    const parse = (parts: readonly string[]) => LabLog.parse(parts.join('\n'), 'x.jsonl');
    const middle = lines.length >> 1;
    expect(parse([...lines, ...lines]).events).toHaveLength(2 * lines.length);
    expect(() => parse(lines.toSpliced(middle, 1))).toThrow(`x.jsonl, line ${middle + 1}: event ${middle + 1} follows`);
    expect(() => parse(lines.toSpliced(middle, 0, lines[middle]!))).toThrow(`line ${middle + 2}`);
    expect(() => parse(lines.toReversed())).toThrow('line 2');
  });

  test('the log of lab 4, a reset that is survived and a cut that is not, is no hand-in for labs 5 and 8', () => {
    const event = (type: string, fields: object = {}): Stamped => ({ seq: 0, atUs: 0, type, ...fields }) as Stamped;
    const update = (fault: string, end: Stamped[]): Stamped[] => [
      event('update.begin'),
      event('eboot.command'),
      event('fault.fired', { spec: fault }),
      ...end,
    ];
    const survived = update('reset@copy:100', [
      event('reset', { rtcKept: true }),
      event('eboot.command'),
      event('eboot.end', { result: 0 }),
      event('app.start', { version: '2.0' }),
    ]);
    const bricked = update('power-cut@copy:200:inside', [
      event('flash.program', { torn: 3 }),
      event('power.off', { cause: 'fault' }),
      event('device.dead', { cure: 'serial' }),
    ]);
    const missed = (number: number, events: Stamped[]) =>
      grade(lab(number), LabLog.of(events)).filter(({ met }) => !met).length;
    expect([missed(5, bricked), missed(8, survived)]).toEqual([0, 0]);
    expect([missed(5, [...survived, ...bricked]), missed(8, [...survived, ...bricked])]).toEqual([1, 1]);
  });
});
