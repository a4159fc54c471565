/**
 * Runs the commands of a document as a reader would, one block after the other, in an empty folder.
 *
 * A fence marked `sh` is run by bash and must succeed. `sh terminal=NAME` goes on running in a terminal of its own; the next
 * block starts when what is expected of it has appeared, and Ctrl-C is pressed there when the document ends. `sh exit=N` must
 * end with N. A fence marked `text` right after it is what must be seen: its lines in that order, `…` stands for anything,
 * other lines may lie between. Every other fence is only shown.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { program } from './program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const BLOCK_LIMIT_MS = 60_000;
const POLL_MS = 25;

export interface DocBlock {
  /** First line of the block in its document, from 1. */
  readonly line: number;
  readonly commands: string;
  readonly terminal: string | undefined;
  readonly exit: number;
  /** Lines that must be seen. */
  readonly expected: readonly string[];
}

/** The runnable blocks of a document. */
export function docBlocks(markdown: string): DocBlock[] {
  const blocks: DocBlock[] = [];
  const fences = [...markdown.matchAll(/^```(\S*)([^\n]*)\n([\s\S]*?)^```[ \t]*$/gm)];
  for (const [index, fence] of fences.entries()) {
    const [, language, words = '', commands = ''] = fence;
    if (language !== 'sh') continue;
    const next = fences[index + 1];
    // Only white space between the two: the output belongs to the command.
    const gap = next && markdown.slice(fence.index + fence[0].length, next.index);
    const shows = next?.[1] === 'text' && gap?.trim() === '';
    blocks.push({
      line: markdown.slice(0, fence.index).split('\n').length,
      commands,
      terminal: /\bterminal=(\S+)/.exec(words)?.[1],
      exit: Number(/\bexit=(\d+)/.exec(words)?.[1] ?? 0),
      expected: shows ? next![3]!.split('\n').filter((line) => line.trim() !== '' && line.trim() !== '…') : [],
    });
  }
  return blocks;
}

/**
 * Runs a document.
 * @returns how many blocks were run
 * @throws Error naming the line of the document and what was seen instead
 */
export async function runDocument(markdown: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'vesp-doc-'));
  const tools = join(folder, '.tools');
  const terminals: Terminal[] = [];
  try {
    const environment = {
      ...process.env,
      NO_COLOR: '1',
      PATH: `${makeTools(folder)}:${process.env['PATH']}`,
      EXAMPLES: `${root}examples`,
    };
    const blocks = docBlocks(markdown);
    for (const block of blocks) {
      const terminal = new Terminal(block, folder, environment);
      terminals.push(terminal);
      await terminal.done();
    }
    return blocks.length;
  } finally {
    for (const terminal of terminals) await terminal.close();
    rmSync(tools, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `npx vesp` and `vesp` mean the command line of this tree. */
function makeTools(folder: string): string {
  const tools = mkdtempSync(join(folder, '.tools-'));
  const vesp = `exec '${process.execPath}' '${root}dist/emulator/vesp/main.js'`;
  writeFileSync(join(tools, 'vesp'), `#!/bin/sh\n${vesp} "$@"\n`);
  writeFileSync(
    join(tools, 'npx'),
    `#!/bin/sh\n[ "$1" = vesp ] || { echo "npx $1: not here" >&2; exit 9; }\nshift\n${vesp} "$@"\n`,
  );
  for (const name of ['vesp', 'npx']) chmodSync(join(tools, name), 0o755);
  return tools;
}

/** One shell that runs one block. */
class Terminal {
  private output = '';
  private exitCode: number | undefined;
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;

  constructor(
    private readonly block: DocBlock,
    folder: string,
    environment: NodeJS.ProcessEnv,
  ) {
    // A group of its own, so that what the block started in the background ends with it.
    this.child = spawn(program('/bin/bash', 'bash'), ['-euo', 'pipefail', '-c', block.commands], {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const see = (data: Buffer): void => {
      this.output += data.toString('utf8');
    };
    this.child.stdout!.on('data', see);
    this.child.stderr!.on('data', see);
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code) => {
        this.exitCode = code ?? -1;
        resolve();
      });
    });
  }

  /** A block with a terminal of its own is done when it has shown what it should, another one when it has ended. */
  async done(): Promise<void> {
    const giveUpAt = Date.now() + BLOCK_LIMIT_MS;
    while (Date.now() < giveUpAt) {
      const over = this.exitCode !== undefined;
      const missing = firstMissing(this.output, this.block.expected);
      if (this.block.terminal !== undefined && missing === undefined) return;
      if (over && (this.block.terminal !== undefined || this.exitCode !== this.block.exit)) {
        throw this.problem(`ended with ${this.exitCode}, ${this.block.exit} wanted`);
      }
      if (over && missing === undefined) return;
      if (over) throw this.problem(`never showed: ${missing}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw this.problem(
      `not done after ${BLOCK_LIMIT_MS / 1000} s; waits for: ${firstMissing(this.output, this.block.expected) ?? 'its end'}`,
    );
  }

  /** Ctrl-C, and then harder. */
  async close(): Promise<void> {
    const signal = (name: NodeJS.Signals): void => {
      try {
        process.kill(-this.child.pid!, name);
      } catch {
        // The whole group has ended.
      }
    };
    if (this.exitCode === undefined) {
      signal('SIGINT');
      const patience = setTimeout(() => signal('SIGKILL'), 3000);
      await this.ended;
      clearTimeout(patience);
    }
    signal('SIGKILL');
  }

  private problem(what: string): Error {
    return new Error(`line ${this.block.line} ${what}\n--- commands\n${this.block.commands}--- seen\n${this.output}`);
  }
}

/** The first expected line that the output lacks, each sought behind the one before. */
function firstMissing(output: string, expected: readonly string[]): string | undefined {
  const lines = output.replaceAll('\r', '').split('\n');
  let at = 0;
  for (const wanted of expected) {
    const pattern = new RegExp(
      wanted
        .trim()
        .split('…')
        .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
        .join('.*'),
    );
    while (at < lines.length && !pattern.test(lines[at]!)) at++;
    if (at === lines.length) return wanted;
    at++;
  }
  return undefined;
}
