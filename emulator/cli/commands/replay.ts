/** `vesp replay ID --report FILE`: one result of a sweep on a real device, with its events. Contract: design.md §4, §8. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import { type Device, replay, type Stamped } from '../../index.ts';
import { UserError } from '../errors.ts';
import { HumanLog } from '../human-log.ts';
import { interrupted } from '../interrupted.ts';
import { parsePort } from '../numbers.ts';
import { asUserError, readReport } from './sweep.ts';

interface ReplayArguments {
  report: string;
  events?: string;
  from?: string;
  to?: string;
  firmware?: string;
  quiet?: boolean;
  control?: boolean;
  controlPort?: string;
}

export function registerReplayCommand(program: Command): void {
  program
    .command('replay')
    .argument('<id>', 'id of a result, e.g. 1-3f9a2c71d04b-power-cut@copy:17:inside')
    .description('Repeat one result of a sweep on a device, byte for byte, and show what happens.')
    .requiredOption('--report <file>', 'the JSON report that has it')
    .option('--events <file>', 'write every event as a line of JSON; with - to stdout, and nothing else there')
    .option('--from <file>', 'image before the update (where the report says)')
    .option('--to <file>', 'file that is sent (where the report says)')
    .option('--firmware <file>', 'with a file system: the firmware (where the report says)')
    .option('--quiet', 'no log, the verdict only')
    .option('--control', 'watch it in the live page: the device waits there, paused, and stays until Ctrl-C')
    .option('--control-port <n>', 'its TCP port (8267); 0 lets the system choose')
    .addHelpText(
      'after',
      '\nEnds with 0 when the device does what the report says, with 1 when not, with 2 for another version or changed images.',
    )
    .action(async (id: string, options: ReplayArguments) => {
      await run(id, options);
    });
}

async function run(id: string, options: ReplayArguments): Promise<void> {
  const report = readReport(options.report);
  const { from, to, firmware } = options;
  const controlPort =
    options.control || options.controlPort !== undefined
      ? parsePort('--control-port', options.controlPort ?? '8267')
      : undefined;
  const events = options.events === undefined ? undefined : openEvents(options.events);
  const out = options.events === '-' ? process.stderr : process.stdout;
  const log = options.quiet ? undefined : new HumanLog(out, options.events === '-');
  try {
    const result = await replay(id, report, {
      images: { from, to, firmware },
      watch: async (device: Device) => {
        if (controlPort !== undefined) {
          await device.openControl(controlPort, {});
          device.pause();
          const { control } = device.address;
          out.write(
            `live page http://${control!.host}:${control!.port}/\nthe device is paused: press Go on there, or step\n`,
          );
        }
        device.events.subscribe((event: Stamped) => {
          events?.write(`${JSON.stringify(event)}\n`);
          log?.see(event);
        });
      },
      ...(controlPort === undefined
        ? {}
        : {
            after: async (_, { verdict, reason }) => {
              out.write(`\n${verdict}: ${reason}\nthe device stays as it is; Ctrl-C ends\n`);
              await interrupted();
            },
          }),
    });
    if (controlPort !== undefined) return;
    out.write(`\n${result.verdict}: ${result.reason}\n`);
    if (result.retry) out.write(`after another update: ${result.retry.verdict}: ${result.retry.reason}\n`);
    if (!result.reported) out.write('(the report lists only the first results of each verdict, not this one)\n');
    if (result.differsAt !== undefined) {
      throw new UserError(
        `the flash differs from what the sweep left, first at 0x${result.differsAt.toString(16)}: please report this`,
        1,
      );
    }
    if (!result.same) throw new UserError(`the report says ${result.reported!.verdict}: ${result.reported!.reason}`, 1);
  } catch (error) {
    throw asUserError(error);
  } finally {
    events?.close();
  }
}

function openEvents(path: string): { write(line: string): void; close(): void } {
  if (path === '-') return { write: (line) => void process.stdout.write(line), close: () => {} };
  let file: number;
  try {
    file = openSync(path, 'w');
  } catch (error) {
    throw new UserError(`--events ${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
  return { write: (line) => void writeSync(file, line), close: () => closeSync(file) };
}
