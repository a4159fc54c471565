/**
 * One update of ArduinoOTA, from the answer to the invitation until the connection is closed: what `handle()` does
 * while the sketch stands still. Source: spec chapter 03 §6, §7.
 */
import type { FrozenEvent, OtaEvent } from '../events.ts';
import type { Address, Clock, Emit, Network, TcpConnection } from '../ports.ts';
import { FrozenWatch } from './frozen-watch.ts';
import {
  OTA_BEGIN_ERROR,
  OTA_CONNECT_ERROR,
  OTA_END_ERROR,
  OTA_RECEIVE_ERROR,
  type OtaError,
} from './ota-constants.ts';
import type { OtaCallbacks, OtaUpdater } from './ports.ts';
import { type OtaSession, peerName } from './session.ts';

/** After `ERR: …`. Nobody outside waits for it. */
const PAUSE_AFTER_REFUSAL_MS = 100;
/**
 * Between the UDP `OK` and the connection. No uploader needs it: espota.py and npm esp-ota listen before they invite,
 * and the host's TCP accepts for them.
 */
const PAUSE_BEFORE_CONNECT_MS = 100;
const CONNECT_TIMEOUT_MS = 5000;
/** The steps of 1 ms for which one turn of the data loop waits. */
const WAIT_STEPS = 1000;
/** What the device's TCP gives the peer's to acknowledge, without progress. */
const FLUSH_MS = 300;
/**
 * Between the last acknowledgement and the final `OK`; never shortened. espota.py reads 32 bytes after each chunk: an
 * `O` that comes along with the last acknowledgement is forgotten, and then the tool reads at the end of the stream for
 * ever (spec chapter 03 §11.1). A busy host may need long until the tool has read the acknowledgement.
 */
const PAUSE_BEFORE_OK_MS = 1000;
/**
 * Between `OK` and the end of the connection. With surplus bytes unread the connection ends with RST, which on some
 * hosts throws away an `OK` that the uploader has not read yet: then the pause is kept. Otherwise, in fast time, our FIN
 * leaves with the `OK`: an uploader that closes at once would else be answered with RST (spec chapter 03 §7.3), and npm
 * `esp-ota` has taken its error handler away by then.
 */
const PAUSE_BEFORE_CLOSE_MS = 1000;
/**
 * Ours, not the device's: so much lies between the last acknowledgement and an error text, if the uploader has not
 * shown by sending that it has read the acknowledgement. espota.py reads both as one piece otherwise, cuts it after 32
 * bytes, and where the rest has neither `E` nor `O` it never ends; the spec says to keep the text apart where possible
 * (chapter 03 §11.1). On the air the two would be about as far apart.
 */
const ERROR_TEXT_GAP_MS = 50;

export interface UpdateRunOptions {
  readonly session: OtaSession;
  readonly updater: OtaUpdater;
  readonly clock: Clock;
  readonly network: Network;
  readonly emit: Emit<OtaEvent | FrozenEvent>;
  readonly callbacks: OtaCallbacks;
  /** Calls `onError` and tells the event. */
  readonly fail: (code: OtaError, peer: string) => Promise<void>;
  /** Sends a datagram from the OTA port. */
  readonly reply: (text: string, to: Address) => void;
  readonly debug: (line: string) => void;
}

/** How a run ended. `refused`: `Update.begin` said no, and no connection was made. */
export type RunOutcome = 'refused' | 'failed' | 'succeeded';

/** Performs the run for the invitation that `session` holds. Rejects only with an `Interruption` or what a callback threw. */
export async function runUpdate(options: UpdateRunOptions): Promise<RunOutcome> {
  const { session, updater, clock, callbacks, debug, fail } = options;
  const inviter = session.inviter;
  const target = { address: inviter.address, port: session.tcpPort };

  if (!(await updater.begin(session.size, session.command))) {
    debug('Update Begin Error\n');
    await fail(OTA_BEGIN_ERROR, peerName(inviter));
    options.reply(`ERR: ${updater.printError()}`, inviter);
    await clock.delay(PAUSE_AFTER_REFUSAL_MS);
    return 'refused';
  }

  options.reply('OK', inviter);
  await clock.delay(PAUSE_BEFORE_CONNECT_MS);
  updater.setMD5(session.md5);
  await callbacks.start?.();
  await callbacks.progress?.(0, session.size);

  const connection = await connect(options, target);
  if (!connection) {
    debug('Connect Failed\n');
    await fail(OTA_CONNECT_ERROR, peerName(inviter));
    // From here on a datagram is taken again, though the run goes on: ArduinoOTA.cpp does not return here.
    session.state = 'idle';
  }

  const ackUnread = connection ? await receiveImage(options, connection) : false;

  if (await updater.end()) {
    if (connection) await endInSuccess(connection, clock);
    debug('Update Success\n');
    await callbacks.end?.();
    return 'succeeded';
  }

  await fail(OTA_END_ERROR, peerName(inviter));
  const text = updater.printError();
  debug(text);
  if (connection) await endInFailure(connection, clock, text, ackUnread);
  session.state = 'idle';
  return 'failed';
}

async function connect(options: UpdateRunOptions, target: Address): Promise<TcpConnection | undefined> {
  // Nobody can listen on port 0; sockets of the host would not even let us try.
  const connection = target.port === 0 ? undefined : await options.network.connectTcp(target, CONNECT_TIMEOUT_MS);
  options.emit({ type: 'ota.connect', peer: peerName(target), ok: connection !== undefined });
  return connection;
}

/**
 * The data loop. There is no limit to it while the connection lasts: a silent uploader freezes the sketch.
 * @returns whether the last thing that happened was an acknowledgement, which the uploader may not have read yet
 */
async function receiveImage(options: UpdateRunOptions, connection: TcpConnection): Promise<boolean> {
  const { session, updater, clock, callbacks, debug, emit } = options;
  const peer = peerName(connection.remote);
  const watch = new FrozenWatch(clock, emit);
  let total = 0;
  let ackUnread = false;
  try {
    while (!updater.isFinished() && (connection.connected() || connection.available() > 0)) {
      if ((await waitForData(connection, clock, watch)) === 0) {
        debug('Receive Failed\n');
        await options.fail(OTA_RECEIVE_ERROR, peerName(session.inviter));
        session.state = 'idle';
      }
      const count = await updater.writeFrom(connection);
      if (count === 0) {
        if (connection.available() > 0) ackUnread = false;
        continue;
      }
      watch.heard();
      total += count;
      ackUnread = connection.write(toBytes(String(count)));
      if (ackUnread) emit({ type: 'ota.ack', peer, bytes: count, total });
      // `size` may have changed: after a false receive error the state is idle, and an invitation overwrites it.
      await callbacks.progress?.(total, session.size);
    }
  } finally {
    watch.thaw();
  }
  return ackUnread;
}

/**
 * Waits for data, literally as the device counts: 1000 steps of 1 ms, and the counter is tested before it is decremented.
 * So 0 at the end means that data was seen at the look after the 1000th step, which the device takes for a failure, while
 * −1 (nothing came at all) is none. The connection is not tested: a peer that closed is noticed when the steps are over.
 *
 * @returns the counter, −1…1000
 */
async function waitForData(connection: TcpConnection, clock: Clock, watch: FrozenWatch): Promise<number> {
  let counter = WAIT_STEPS;
  while (connection.available() === 0) {
    const tested = counter--;
    if (tested === 0) break;
    counter -= (await sleepSteps(connection, clock, tested)) - 1;
    if (connection.connected()) watch.silent();
  }
  return counter;
}

/**
 * Sleeps up to `steps` steps of 1 ms, in one go: one by one, a frozen device would keep the host busy with timers. What
 * arrives ends the sleep, so on real sockets a chunk is not held up for the rest of a millisecond; the step that it came
 * in counts whole.
 *
 * @returns how many steps that were, 1…`steps`
 */
async function sleepSteps(connection: TcpConnection, clock: Clock, steps: number): Promise<number> {
  const start = clock.micros();
  await connection.wait(steps);
  const slept = Math.ceil(((clock.micros() - start) >>> 0) / 1000);
  return Math.min(Math.max(slept, 1), steps);
}

async function endInSuccess(connection: TcpConnection, clock: Clock): Promise<void> {
  await connection.flush(FLUSH_MS);
  await clock.delay(PAUSE_BEFORE_OK_MS, connection.connected() ? 'peer' : 'device');
  connection.write(toBytes('OK'));
  await connection.flush(FLUSH_MS);
  await clock.delay(PAUSE_BEFORE_CLOSE_MS, connection.available() > 0 ? 'peer' : 'unseen');
  await connection.flush(FLUSH_MS);
  connection.close();
}

/**
 * Nothing lies between the text and the end of the connection: an uploader in the middle of its image shall meet a closed
 * port soon, or espota.py sends the rest of it to nobody and then waits for ever (spec chapter 03 §11.1).
 */
async function endInFailure(connection: TcpConnection, clock: Clock, text: string, ackUnread: boolean): Promise<void> {
  if (ackUnread && connection.connected()) await clock.delay(ERROR_TEXT_GAP_MS, 'peer');
  connection.write(toBytes(text));
  // What was not read is thrown away first, so that the connection ends with FIN and the text arrives.
  connection.read(connection.available());
  connection.close();
}

/** latin1: the MD5 text of the invitation comes back in an error as the bytes it was. */
export function toBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
