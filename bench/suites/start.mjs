/** From the start of the process to the ready line, against a bare `node` that prints a line: what the device costs. */
import { spawn } from 'node:child_process';
import { compare } from '../harness.mjs';

const ROUNDS = 15;

export async function* rows(load) {
  await load('emulator/index.js'); // fails early, with a clear message, when nothing is built
  const main = load.path('emulator/vesp/main.js');
  yield* await compare({
    name: 'vesp run: start to ready',
    calls: 1,
    rounds: ROUNDS,
    ours: () => untilReady([main, 'run', '--ota-port', '0', '--http-port', '0']),
    rivals: {
      'node that prints "ready"': () => untilReady(['-e', 'console.log("ready"); setTimeout(() => {}, 9999)']),
    },
    check: (line, who) => {
      if (!line.startsWith('ready')) throw new Error(`${who}: ${line}`);
    },
  });
}

function untilReady(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      const ready = /^ready.*$/m.exec(output);
      if (!ready) return;
      child.kill('SIGKILL');
      resolve(ready[0]);
    });
    child.once('exit', () => reject(new Error(`ended before it was ready:\n${output}`)));
  });
}
