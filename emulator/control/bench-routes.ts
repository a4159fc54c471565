/** Routes of the workbench: the serial line, faults, the CPU, images, snapshots. */
import { createHash } from 'node:crypto';
import { imageInfo } from '../../flash/image-info.ts';
import { type Fault, FaultSpecError } from '../faults/spec.ts';
import { gunzip } from '../gzip.ts';
import { badRequest, conflict } from './api-error.ts';
import { JSON_LIMIT, readBody, readObject } from './body.ts';
import type { CpuDebug, CpuStop } from './cpu-debug.ts';
import { comesToSomething, type Exclusive } from './device-routes.ts';
import type { FaultList } from './fault-list.ts';
import type { ControlledDevice, KnownSettings, OpaqueSnapshot } from './ports.ts';
import type { Answer, Exchange, Routes } from './routes.ts';
import type { SectorStates } from './sector-states.ts';
import type { Snapshots } from './snapshots.ts';
import { upload } from './upload.ts';
import { booleanOf, numberOf, oneOf } from './values.ts';

/** Of faults that wait. */
const MAX_ARMED = 64;
const MAX_CPU_STEPS = 1_000_000;
const MAX_BREAKPOINTS = 64;
const MAX_NAME = 80;
/** A signature behind an image of the chip's size. */
const SIGNATURE_BYTES = 4096;

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

export function serialRoutes(device: ControlledDevice): Routes {
  return {
    '/api/serial': {
      GET: () => ({ type: 'text/plain; charset=utf-8', body: device.serial.text() }),
      POST: async ({ request }) => {
        const bytes = await readBody(request, JSON_LIMIT);
        if (bytes.length > 0) device.serial.write(Buffer.from(bytes).toString('latin1'));
        return { json: { bytes: bytes.length } };
      },
    },
  };
}

export function faultRoutes(device: ControlledDevice, list: FaultList): Routes {
  return {
    '/api/faults': {
      GET: () => ({ json: list.lists }),
      POST: async ({ request }) => {
        const body = await readObject(request);
        if (list.count >= MAX_ARMED) throw conflict('too-many-faults', `${MAX_ARMED} faults are armed already`);
        const { spec } = body;
        if (spec !== undefined && typeof spec !== 'string')
          throw badRequest('"spec" wants the text of a fault', 'bad-fault');
        try {
          device.faults.arm(spec ?? faultOf(body));
        } catch (error) {
          if (error instanceof FaultSpecError || error instanceof RangeError)
            throw badRequest(error.message, 'bad-fault');
          throw error;
        }
        return { status: 201, json: list.lists };
      },
      DELETE: () => {
        device.faults.clear();
        list.clear();
        return { json: list.lists };
      },
    },
  };
}

/** The object of design.md §3. What it says is checked with the grammar, as {@link Fault} is a type of ours only. */
function faultOf({ kind, at }: Readonly<Record<string, unknown>>): Fault[] | string {
  if (typeof kind !== 'string' || typeof at !== 'object' || at === null) {
    throw badRequest(
      'wants {"spec":"power-cut@copy:17"} or {"kind":"power-cut","at":{"phase":"copy","op":17}}',
      'bad-fault',
    );
  }
  const { phase, op, address, point, fraction } = at as Record<string, unknown>;
  const text = (value: unknown): string =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : '?';
  const where = address === undefined ? `${text(phase)}:${text(op)}` : `0x${Number(address).toString(16)}`;
  if (address !== undefined && (phase !== undefined || op !== undefined)) {
    throw badRequest('a fault wants either a phase with an operation, or an address', 'bad-fault');
  }
  const tail = [point, fraction].filter((part) => part !== undefined).map(text);
  return [`${kind}@${where}`, ...tail].join(':');
}

export function cpuRoutes(device: ControlledDevice): Routes {
  const running = (): CpuDebug => {
    if (!device.cpu)
      throw conflict('no-cpu', 'no native CPU runs: code is executed only while --bootloader native boots');
    return device.cpu;
  };
  const shown = (cpu: CpuDebug) => ({
    pc: cpu.pc,
    registers: [...cpu.registers],
    special: cpu.special(),
    steps: cpu.steps,
    breakpoints: [...cpu.breakpoints],
  });
  return {
    '/api/cpu': { GET: () => ({ json: shown(running()) }) },
    '/api/cpu/step': {
      POST: async ({ request }) => {
        const { count = 1 } = await readObject(request);
        const steps = numberOf('count', count, 1, MAX_CPU_STEPS);
        const cpu = running();
        if (!device.paused)
          throw conflict('not-paused', 'stepping needs a paused device: POST /api/clock {"paused":true}');
        const stop = await stepOf(cpu, steps);
        return { json: { ...stop, cpu: shown(cpu) } };
      },
    },
    '/api/cpu/breakpoints': {
      GET: () => ({ json: { breakpoints: [...running().breakpoints] } }),
      PUT: async ({ request }) => {
        const { breakpoints } = await readObject(request);
        if (!Array.isArray(breakpoints) || breakpoints.length > MAX_BREAKPOINTS) {
          throw badRequest(`"breakpoints" wants a list of up to ${MAX_BREAKPOINTS} addresses`);
        }
        const addresses = breakpoints.map((value) => numberOf('breakpoints', value, 0, 0xffffffff));
        const cpu = running();
        cpu.breakpoints.clear();
        for (const address of addresses) cpu.breakpoints.add(address);
        return { json: { breakpoints: addresses } };
      },
    },
  };
}

/** A step that cannot be taken now, e.g. because another one is under way, is a conflict. */
async function stepOf(cpu: CpuDebug, steps: number): Promise<CpuStop> {
  try {
    return await cpu.step(steps);
  } catch (error) {
    throw conflict('busy', error instanceof Error ? error.message : String(error));
  }
}

export function imageRoutes(
  device: ControlledDevice,
  known: KnownSettings,
  large: <T>(task: () => Promise<T>) => Promise<T>,
): Routes {
  let uploading = false;
  const readImage = async ({ request }: Exchange): Promise<Uint8Array> => {
    const file = await readBody(request, device.flash.chip.capacityBytes + SIGNATURE_BYTES);
    if (file.length === 0) throw badRequest('the body has to be the image', 'empty');
    return file;
  };
  return {
    '/api/inspect': {
      POST: (exchange) =>
        large(async (): Promise<Answer> => ({ json: imageInfo(await readImage(exchange), { inflate: gunzip, md5 }) })),
    },
    '/api/upload': {
      POST: (exchange) =>
        large(async (): Promise<Answer> => {
          const { query, request, signal } = exchange;
          const via = oneOf('via', query.get('via') ?? 'arduino-ota', ['arduino-ota', 'web']);
          const target = oneOf('target', query.get('target') ?? 'sketch', ['sketch', 'fs']);
          const file = await readImage(exchange);
          if (uploading) throw conflict('busy', 'another upload is under way');
          uploading = true;
          // A paused device takes its time; nothing passes here meanwhile.
          request.socket.setTimeout(0);
          try {
            const done = await upload(device, known, {
              via,
              target,
              file,
              fileName: query.get('name') ?? 'firmware.bin',
              user: headerText(request.headers['x-device-user']) ?? query.get('user') ?? undefined,
              password: headerText(request.headers['x-device-password']) ?? query.get('password') ?? undefined,
              signal,
            });
            return { json: done };
          } finally {
            uploading = false;
          }
        }),
    },
  };
}

const headerText = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;

export function snapshotRoutes<S extends OpaqueSnapshot>(
  device: ControlledDevice<S>,
  snapshots: Snapshots<S>,
  sectors: SectorStates,
  exclusive: Exclusive,
): Routes {
  return {
    '/api/snapshots': {
      GET: () => ({ json: { snapshots: snapshots.list() } }),
      POST: async ({ request }) => {
        const { name = '' } = await readObject(request);
        if (typeof name !== 'string') throw badRequest('"name" wants a text');
        return { status: 201, json: snapshots.add(name.slice(0, MAX_NAME), device.nowUs, () => device.snapshot()) };
      },
    },
    '/api/snapshots/ID': {
      DELETE: ({ id }) => {
        snapshots.remove(id);
        return { json: { snapshots: snapshots.list() } };
      },
    },
    /** `{"start":true}` presses the reset button afterwards; without it the device is held in reset. */
    '/api/snapshots/ID/restore': {
      POST: async ({ request, id }) => {
        const { start = false } = await readObject(request);
        const startIt = booleanOf('start', start);
        const { info, snapshot } = snapshots.get(id);
        const { started } = await exclusive(async () => {
          await device.restore(snapshot);
          sectors.clear();
          return { started: startIt ? device.reset('external') : undefined };
        });
        await comesToSomething(device, started);
        return { json: { ...info, power: device.isOn ? 'on' : 'held' } };
      },
    },
  };
}
