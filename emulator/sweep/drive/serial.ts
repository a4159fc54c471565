/** A serial upload: not there yet. */
import type { Drive, Peer } from './drive.ts';

export function serial(drive: Drive): Peer {
  drive.fail('the serial path is not modelled yet');
  return { close() {} };
}
