/** The real curl (Debian package curl), and what it made of a request. */
import { type ChildProcess, spawn } from 'node:child_process';
import { program } from './program.ts';

const CURL = '/usr/bin/curl';
/** No request of a test takes longer. */
const MAX_SECONDS = '60';

export interface CurlResult {
  /** Exit code of curl; 0 whatever the status. */
  readonly code: number | null;
  /** The bodies, then whatever `-w` printed. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCurl {
  readonly child: ChildProcess;
  readonly finished: Promise<CurlResult>;
}

/** Starts curl, without a progress meter and without this user's .curlrc. */
export function startCurl(...args: string[]): RunningCurl {
  const child = spawn(program(CURL, 'curl'), ['-q', '-sS', '--noproxy', '*', '-m', MAX_SECONDS, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    stderr += text;
  });
  return {
    child,
    finished: new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, stdout, stderr }));
    }),
  };
}

/** Runs curl to its end. */
export const curl = (...args: string[]): Promise<CurlResult> => startCurl(...args).finished;
