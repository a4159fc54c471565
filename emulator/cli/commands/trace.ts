/** `vesp trace IMAGE`: a boot of the bootloader in an image, instruction by instruction. Contract: design.md §4. */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { referenceKernels } from '../../../assembly/host/reference.ts';
import { ACTION_COPY_RAW, encodeCommand } from '../../../eboot/command.ts';
import { RTC_USER_BYTES } from '../../../eboot/memory-map.ts';
import { CHIP_MAX_BYTES } from '../../../flash/geometry.ts';
import { DeviceOptionError } from '../../options.ts';
import { traceBoot } from '../../trace.ts';
import { UserError } from '../errors.ts';
import { parseCount } from '../numbers.ts';

const CHIP_BYTES = 0x400000;
const STAGING = 0x200000;

interface TraceArguments {
  copy?: string;
  instructions: string;
  from?: string;
  maxSteps: string;
}

export function registerTraceCommand(program: Command): void {
  program
    .command('trace')
    .argument('<image>', 'a real firmware (.bin), or a chip file of `run --flash`')
    .description('List a boot of the bootloader in an image: instructions, registers, ROM calls, flash operations.')
    .option('--copy <file>', 'an update waits in the staging area: eboot copies (or unpacks) it over the image')
    .option('--instructions <n>', 'how many are listed; then only calls and operations', '1000')
    .option('--from <address>', 'list from the first time that this address is reached')
    .addOption(new Option('--max-steps <n>', 'give up after so many instructions').default('2000000000'))
    .action((file: string, options: TraceArguments) => {
      process.exitCode = trace(file, options);
    });
}

function trace(file: string, options: TraceArguments): number {
  const image = read(file);
  const flash = new Uint8Array(Math.max(CHIP_BYTES, image.length)).fill(0xff);
  flash.set(image);
  const rtcUser = new Uint8Array(RTC_USER_BYTES);
  if (options.copy !== undefined) {
    const update = read(options.copy);
    if (STAGING + update.length > CHIP_BYTES)
      throw new UserError(`${options.copy} has ${update.length} bytes: too many`);
    flash.set(update, STAGING);
    rtcUser.set(
      encodeCommand({ action: ACTION_COPY_RAW, args: [STAGING, 0, update.length] }, referenceKernels().crc32),
    );
  }
  // A listing is long: it goes out in large pieces.
  let lines: string[] = [];
  const flush = (): void => {
    if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
    lines = [];
  };
  try {
    const { outcome } = traceBoot({
      flash,
      rtcUser,
      instructions: parseCount('--instructions', options.instructions),
      ...(options.from === undefined ? {} : { from: parseCount('--from', options.from) }),
      maxSteps: parseCount('--max-steps', options.maxSteps),
      write(line) {
        lines.push(line);
        if (lines.length >= 1000) flush();
      },
    });
    flush();
    return outcome === 'boot' ? 0 : 1;
  } catch (error) {
    if (error instanceof DeviceOptionError) throw new UserError(`${file}: ${error.message}`);
    throw error;
  }
}

function read(file: string): Uint8Array {
  try {
    const bytes = readFileSync(file);
    if (bytes.length === 0 || bytes.length > CHIP_MAX_BYTES) throw new UserError(`${file} has ${bytes.length} bytes`);
    return bytes;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
