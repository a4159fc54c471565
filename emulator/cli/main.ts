#!/usr/bin/env node
/** The command `esp8266-ota-emulator`, also called `vesp`. Contract: design.md §4. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { UserError } from './errors.ts';

const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('vesp')
  .description('A virtual ESP8266 that real OTA uploaders cannot tell from hardware.')
  .version(manifest.version)
  .showHelpAfterError('(add --help for the options)')
  .configureHelp({ sortSubcommands: false })
  .addHelpText(
    'after',
    `
Try:
  vesp run                                   a NodeMCU that waits for an upload on 127.0.0.1:8266
  vesp image build --out new.bin --sketch basic-ota --version 2.0 --size 300000 --layout 4m2m
  vesp upload --port 127.0.0.1 new.bin       what espota.py and the Arduino IDE do

Exit codes: 0 done, 1 the device or the update failed, 2 wrong usage or bad input file, 3 a sweep's expectation is broken, 42 timeout.`,
  )
  .exitOverride();

/** In the order of the help. A command brings its modules along, so only the one that is called is loaded. */
const COMMANDS: Record<string, () => Promise<(program: Command) => void>> = {
  run: async () => (await import('./commands/run.ts')).registerRunCommand,
  image: async () => (await import('./commands/image.ts')).registerImageCommands,
  flash: async () => (await import('./commands/flash.ts')).registerFlashCommands,
  upload: async () => (await import('./commands/upload.ts')).registerUploadCommand,
  serve: async () => (await import('./commands/serve.ts')).registerServeCommand,
  scenario: async () => (await import('./commands/scenario.ts')).registerScenarioCommands,
  lab: async () => (await import('./commands/lab.ts')).registerLabCommands,
  sweep: async () => (await import('./commands/sweep.ts')).registerSweepCommand,
  replay: async () => (await import('./commands/replay.ts')).registerReplayCommand,
  trace: async () => (await import('./commands/trace.ts')).registerTraceCommand,
  boards: async () => (await import('./commands/boards.ts')).registerBoardsCommand,
  layouts: async () => (await import('./commands/boards.ts')).registerLayoutsCommand,
};
const called = COMMANDS[process.argv[2] ?? ''];
for (const load of called ? [called] : Object.values(COMMANDS)) (await load())(program);

// `vesp … | head` closes our stdout: that is no error of ours.
// What is asked for goes on, unseen; the exit code still tells how it went.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  for (const command of program.commands) inheritExit(command);
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version end 0; commander has printed everything else already.
    process.exitCode = error.exitCode === 0 || error.code === 'commander.help' ? 0 : 2;
  } else if (error instanceof UserError) {
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else {
    throw error;
  }
}

function inheritExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) inheritExit(child);
}
