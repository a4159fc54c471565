/** A thread of a sweep: gets a {@link Job}, then ranges; sends what it counted, and ends when there are no more. */
import { parentPort, workerData } from 'node:worker_threads';
import { Crew, type Job, NO_MORE, type Range } from './crew.ts';

const crew = new Crew(workerData as Job);
parentPort?.on('message', (order: Range | typeof NO_MORE) => {
  if (order === NO_MORE) parentPort?.close();
  else parentPort?.postMessage(crew.run(order));
});
