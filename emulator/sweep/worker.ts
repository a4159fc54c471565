/** A thread of a sweep: gets a {@link Job}, then ranges; sends what it counted. */
import { parentPort, workerData } from 'node:worker_threads';
import { Crew, type Job, type Range } from './crew.ts';

const crew = new Crew(workerData as Job);
parentPort?.on('message', (range: Range) => parentPort?.postMessage(crew.run(range)));
