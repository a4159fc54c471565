/** What carrying out one command comes to, in either dialect. */
import type { Request } from './packets.ts';
import type { LoaderEnd } from './ports.ts';

/** What happens after the reply. */
export type Next =
  | LoaderEnd
  /** An uploaded flasher stub takes over: it says OHAI, and its dialect begins. `entry` tells its kind. */
  | { readonly do: 'stub'; readonly entry: number }
  /** READ_FLASH: raw frames go out, and the host's frames are acknowledgements. */
  | { readonly do: 'read'; readonly address: number; readonly length: number; readonly packet: number }
  | { readonly do: 'baud'; readonly rate: number };

export interface Outcome {
  /** The reply's last two bytes; 0 and 0 for success. */
  readonly status: number;
  readonly error: number;
  readonly value?: number;
  readonly data?: Uint8Array;
  /** How often the reply is sent; 1 unless given, 0 for none. */
  readonly replies?: number;
  /** Another command's number in the reply. */
  readonly replyAs?: number;
  readonly next?: Next;
}

/** One dialect's commands. */
export interface Commands {
  execute(request: Request): Promise<Outcome>;
}

export const SUCCESS: Outcome = { status: 0, error: 0 };
