/** Shares the boundaries of a sweep out to threads, or does them here, piece by piece. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Bootloader } from './boot-run.ts';
import { Crew, type Job, NO_MORE, type Range, tallyOptionsOf } from './crew.ts';
import { addParts, type TallyPart } from './tally.ts';

/** Pieces are small enough that no thread waits long for the last one, and for the progress bar. */
const PIECES_A_THREAD = 24;
/** At depth 2 a boundary in the copy is a thousand trials. */
const SMALLEST_PIECE = { 1: 32, 2: 2 } as const;
/** So many parts are added up at a time: what is listed does not pile up. */
const PARTS_AT_ONCE = 8;

export interface Shares {
  readonly jobs: number;
  /** All boundaries, of which this run does every `step`th from `first` on. */
  readonly boundaries: number;
  readonly first: number;
  readonly step: number;
  readonly onPart: (part: TallyPart, range: Range) => void;
}

/**
 * The thread's module: compiled, beside this one or (from the command line's bundle) one folder up. From TypeScript sources
 * there is none, and the work is done here.
 */
function workerModule(): URL | undefined {
  const url = new URL('../sweep/worker.js', import.meta.url);
  return existsSync(fileURLToPath(url)) ? url : undefined;
}

/** Does the job and adds everything up. */
export async function runJob(job: Job, shares: Shares, bootloader?: Bootloader): Promise<TallyPart> {
  const { jobs, boundaries, first, step, onPart } = shares;
  const options = tallyOptionsOf(job);
  const size = Math.max(SMALLEST_PIECE[job.plan.depth], Math.ceil(boundaries / (jobs * PIECES_A_THREAD))) * step;
  const ranges: Range[] = [];
  for (let from = first; from < boundaries; from += size) {
    ranges.push({ from, to: Math.min(from + size, boundaries), step });
  }
  let total: TallyPart[] = [];
  const take = (part: TallyPart, range: Range): void => {
    total.push(part);
    if (total.length > PARTS_AT_ONCE) total = [addParts(total, options)];
    onPart(part, range);
  };
  const module = jobs > 1 && !bootloader ? workerModule() : undefined;
  if (module) await inThreads(module, job, Math.min(jobs, ranges.length), ranges, take);
  else {
    const crew = new Crew(job, bootloader);
    for (const range of ranges) {
      take(crew.run(range), range);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
  return addParts(total, options);
}

async function inThreads(
  module: URL,
  job: Job,
  count: number,
  ranges: readonly Range[],
  take: (part: TallyPart, range: Range) => void,
): Promise<void> {
  let next = 0;
  const workers = Array.from({ length: count }, () => new Worker(module, { workerData: job }));
  try {
    await Promise.all(
      workers.map(
        (worker) =>
          new Promise<void>((resolve, reject) => {
            let range: Range | undefined;
            const give = (): void => {
              range = ranges[next++];
              if (range) worker.postMessage(range);
              else resolve();
            };
            worker.on('error', reject);
            worker.on('exit', (code) => reject(new Error(`a thread of the sweep ended with ${code}`)));
            worker.on('message', (part: TallyPart) => {
              take(part, range!);
              give();
            });
            give();
          }),
      ),
    );
    // They end by themselves: Node 20 may abort when a thread is terminated while it compiles or collects garbage.
    const ends = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    for (const worker of workers) worker.postMessage(NO_MORE);
    await Promise.all(ends);
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.terminate()));
    throw error;
  }
}
