/** The real command, as a user starts it: `node dist/emulator/vesp/main.js`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/emulator/vesp/main.js', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** What it printed so far. */
  output(): string;
  /** Resolves with the match when stdout or stderr shows it; rejects when the command ends before. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
}

export function startCli(args: readonly string[], options: { cwd?: string } = {}): Started {
  if (!existsSync(main)) throw new Error('dist/ is not built: run "npm ci" or "npm run build" first');
  const child = spawn(process.execPath, [main, ...args], { cwd: options.cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const watchers = new Set<() => void>();
  const tell = (): void => {
    for (const watcher of watchers) watcher();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    tell();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    tell();
  });
  let ended = false;
  const finished = new Promise<Finished>((resolve) => {
    child.once('close', (code, signal) => {
      ended = true;
      tell();
      resolve({ code, signal, stdout, stderr });
    });
  });
  return {
    child,
    finished,
    output: () => stdout + stderr,
    shows: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(stdout) ?? pattern.exec(stderr);
          if (!match && !ended) return;
          watchers.delete(look);
          if (match) resolve(match);
          else reject(new Error(`the command ended without showing ${pattern}:\n${stdout}${stderr}`));
        };
        watchers.add(look);
        look();
      }),
  };
}

/** Runs the command to its end. */
export const cli = (args: readonly string[], options: { cwd?: string } = {}): Promise<Finished> =>
  startCli(args, options).finished;
