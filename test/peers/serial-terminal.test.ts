/** The keys of `vesp run` on a real terminal, which script (Debian package bsdutils) makes. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { program } from '../support/program.ts';

const main = fileURLToPath(new URL('../../dist/emulator/vesp/main.js', import.meta.url));
const LIMIT_MS = 20_000;

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const end of cleanUp.splice(0)) end();
});

/** Runs a shell command on a terminal of its own. */
function onTerminal(command: string): {
  type(text: string): void;
  shows(pattern: RegExp): Promise<void>;
  readonly ended: Promise<number | null>;
} {
  const child = spawn(program('/usr/bin/script', 'bsdutils'), ['-qec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  cleanUp.push(() => child.kill('SIGKILL'));
  let output = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    type: (text) => void child.stdin.write(text),
    async shows(pattern) {
      const until = Date.now() + LIMIT_MS;
      for (;;) {
        const match = pattern.exec(output.slice(seen));
        if (match) {
          seen += match.index + match[0].length;
          return;
        }
        if (Date.now() > until) throw new Error(`never shown: ${pattern}\n${output}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    ended,
  };
}

test('the hint, the keys, and the terminal as it was before', async () => {
  const vesp = `${process.execPath} ${main} run --ota-port 0 --http-port 0`;
  const terminal = onTerminal(`${vesp}; echo "ended $?"; stty -a | grep -o -- '-*icanon'`);
  await terminal.shows(/keys: r reset, f hold or let go FLASH \(GPIO0\), p power, q quit/);
  await terminal.shows(/ready ota=/);
  terminal.type('r');
  await terminal.shows(/reset: external[\s\S]*rst cause:2, boot mode:\(3,7\)[\s\S]*Ready/);
  terminal.type('fr');
  await terminal.shows(/FLASH is held[\s\S]*boot mode:\(1,7\)/);
  terminal.type('p');
  await terminal.shows(/power off/);
  terminal.type('q');
  await terminal.shows(/ended 0\s+icanon/);
  expect(await terminal.ended).toBe(0);
});

test('in the background it leaves the terminal alone and runs on', async () => {
  const vesp = `${process.execPath} ${main} run --ota-port 0 --http-port 0 --until app.start`;
  const terminal = onTerminal(`bash -ic '${vesp} & wait $!; echo "ended $?"'`);
  await terminal.shows(/ended 0/);
  expect(await terminal.ended).toBe(0);
});
