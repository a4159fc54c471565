/**
 * Drives the request parser with a connection: the waits of the device's line, body and file reads. What the parser has
 * not taken stays unread in the connection.
 */
import type { Clock } from '../ports.ts';
import { FROZEN_AFTER_MS, type FrozenWatch } from './frozen-watch.ts';
import type { ParseResult } from './parsed-request.ts';
import type { ParserEffect, Parsing, RequestInput, Wait } from './request-input.ts';
import type { WebClient } from './web-client.ts';

/** What the parser tells; the parser stands still until it is dealt with. */
export type Told = Exclude<ParserEffect, Wait>;

export class RequestReader {
  /** Bytes of the parser's input that were taken from the connection. */
  private taken = 0;
  /** Device milliseconds at which bytes came last. */
  private heardAt: number;

  constructor(
    private readonly client: WebClient,
    private readonly clock: Clock,
    private readonly watch: FrozenWatch,
  ) {
    this.heardAt = clock.millis();
  }

  async read(
    parser: Parsing<ParseResult>,
    input: RequestInput,
    tell: (effect: Told) => void | Promise<void>,
  ): Promise<ParseResult> {
    try {
      input.connected = this.client.connected();
      input.pull = () => this.pull(input);
      let step = parser.next(true);
      while (!step.done) {
        this.take(input);
        let came = true;
        // Nothing is awaited that need not be: a megabyte comes in 500 windows.
        if (step.value.do !== 'wait') {
          const told = tell(step.value);
          if (told) await told;
        } else if (!this.load(input)) {
          came = (await this.arrival(step.value)) && this.load(input);
        }
        input.connected = this.client.connected();
        step = parser.next(came);
      }
      this.take(input);
      return step.value;
    } finally {
      this.watch.thaw();
    }
  }

  /** Gives the connection's window the room of what the parser used up. */
  private take(input: RequestInput): void {
    const count = input.at - this.taken;
    if (count === 0) return;
    const { connection } = this.client;
    if (connection.skip) connection.skip(count);
    else connection.read(count);
    this.taken = input.at;
  }

  /** What happens between two steps of the parser, without them. */
  private pull(input: RequestInput): boolean {
    this.take(input);
    if (!this.load(input)) return false;
    input.connected = this.client.connected();
    return true;
  }

  /** Gives the parser what can be read now. False: nothing. */
  private load(input: RequestInput): boolean {
    if (this.client.available() === 0) return false;
    const { connection } = this.client;
    input.load(connection.peekAhead?.() ?? connection.peek(connection.available()));
    this.taken = 0;
    this.heardAt = this.clock.millis();
    this.watch.thaw();
    return true;
  }

  /** True: bytes can be read. */
  private async arrival(wait: Wait): Promise<boolean> {
    const startedAt = this.clock.millis();
    for (;;) {
      if (this.client.available() > 0) return true;
      const connected = this.client.connected();
      if (!connected && !wait.evenIfGone) return false;
      // The counter of milliseconds wraps.
      const waited = (this.clock.millis() - startedAt) >>> 0;
      if (waited >= wait.ms) return false;
      this.lookAtSilence(wait);
      const left = Math.min(wait.ms - waited, FROZEN_AFTER_MS);
      if (connected) await this.client.connection.wait(left);
      else await this.clock.delay(left, 'peer');
    }
  }

  private lookAtSilence(wait: Wait): void {
    if ((this.clock.millis() - this.heardAt) >>> 0 < FROZEN_AFTER_MS) return;
    if (!Number.isFinite(wait.ms)) this.watch.freeze('file');
    else if (wait.endless) this.watch.freeze('lines');
  }
}
