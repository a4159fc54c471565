/** When `run` ends by itself: `--until` and `--once`. Contract: design.md §4 and §5. */
import type { DeviceEvent, DeviceEventType, Stamped } from '../events.ts';
import { UserError } from './errors.ts';

/** The first field of each type in design.md §5: what `--until TYPE=VALUE` compares. */
const FIRST_FIELDS: Record<DeviceEventType, string> = {
  'device.ready': 'board',
  'power.on': 'cause',
  'power.off': 'cause',
  reset: 'cause',
  straps: 'gpio0',
  'rom.boot': 'rstCause',
  'eboot.start': 'engine',
  'eboot.command': 'action',
  'eboot.copy': 'sector',
  'eboot.end': 'result',
  'cpu.stop': 'reason',
  'app.start': 'version',
  'app.crash': 'reason',
  'device.dead': 'why',
  'device.frozen': 'where',
  'device.thawed': 'where',
  'flash.erase': 'address',
  'flash.program': 'address',
  'rtc.write': 'offset',
  'update.begin': 'command',
  'update.progress': 'written',
  'update.end': 'md5',
  'update.error': 'code',
  'ota.invite': 'peer',
  'ota.auth': 'peer',
  'ota.connect': 'peer',
  'ota.ack': 'peer',
  'ota.error': 'peer',
  'ota.end': 'peer',
  'http.request': 'peer',
  'http.upload': 'peer',
  'http.response': 'peer',
  'httpupdate.request': 'url',
  'httpupdate.response': 'status',
  'httpupdate.end': 'result',
  'wire.in': 'channel',
  'wire.out': 'channel',
  'serial.out': 'text',
  'serial.in': 'text',
  'serial.host': 'peer',
  'loader.start': 'dialect',
  'loader.command': 'name',
  'loader.end': 'dialect',
  'fault.armed': 'spec',
  'fault.fired': 'spec',
  'sketch.log': 'text',
};

/** Parses `EVENT[=VALUE]`. @throws UserError for a type that does not exist */
export function parseUntil(text: string): (event: Stamped) => boolean {
  const equals = text.indexOf('=');
  const type = equals < 0 ? text : text.slice(0, equals);
  if (!Object.hasOwn(FIRST_FIELDS, type)) {
    throw new UserError(
      `--until ${text}: there is no event "${type}"; the events are ${Object.keys(FIRST_FIELDS).join(', ')}`,
    );
  }
  if (equals < 0) return (event) => event.type === type;
  const wanted = text.slice(equals + 1);
  const field = FIRST_FIELDS[type as DeviceEventType];
  if (wanted === '') throw new UserError(`--until ${text}: a value is missing behind the =`);
  return (event) => {
    if (event.type !== type) return false;
    const actual = (event as unknown as Record<string, unknown>)[field];
    return typeof actual === 'string' ? actual.includes(wanted) : actual !== undefined && actual === Number(wanted);
  };
}

export type OnceResult = { ok: true } | { ok: false; why: string };

/**
 * Follows one update from `update.begin` to the start of what it installed. Attempts that never began (a wrong password, a
 * refused invitation) do not count. A file system that ESPhttpUpdate fetched is in use at once: no start follows, except in
 * an ATOMIC_FS_UPDATE build, where eboot puts it in place.
 */
export class OnceWatch {
  private state: 'waiting' | 'receiving' | 'received' | 'copying' = 'waiting';
  private command: 'sketch' | 'fs' = 'sketch';
  /** The device goes on for a moment after an update failed: the uploader is still being told. */
  private failure: string | undefined;
  /** The update under way came by ArduinoOTA. */
  private overTheAir = false;

  constructor(private readonly build: { readonly atomicFs?: boolean } = {}) {}

  /** Returns the result when it is known. */
  see(event: DeviceEvent): OnceResult | undefined {
    switch (event.type) {
      case 'update.begin':
        this.state = 'receiving';
        this.command = event.command;
        this.failure = undefined;
        return undefined;
      case 'ota.invite':
        this.overTheAir = true;
        return undefined;
      case 'http.upload':
        this.overTheAir = false;
        return this.state === 'receiving' && event.state === 'aborted' ? fail('the upload was broken off') : undefined;
      case 'httpupdate.request':
        this.overTheAir = false;
        return undefined;
      case 'update.error':
        if (this.state !== 'receiving') return undefined;
        this.failure = event.message;
        // Over the air the uploader is told next, and `ota.end` follows; the other ways have no end of their own.
        return this.overTheAir ? undefined : fail(event.message);
      case 'update.end':
        this.state = 'received';
        return undefined;
      case 'httpupdate.end':
        if (this.state === 'received' && this.command === 'fs' && event.result === 'ok' && !this.build.atomicFs) {
          return { ok: true };
        }
        if (this.state === 'receiving') return fail(this.failure ?? event.message ?? 'the download ended too early');
        return undefined;
      case 'ota.end':
        if (this.state === 'receiving') return fail(this.failure ?? 'the upload ended before all of it had arrived');
        return undefined;
      case 'eboot.command':
        if (this.state === 'received') this.state = 'copying';
        return undefined;
      case 'eboot.end':
        return this.state === 'copying' && event.result !== 0
          ? fail(`eboot's copy failed with code ${event.result}`)
          : undefined;
      case 'device.dead':
        return this.state === 'waiting' ? undefined : fail(`the device is dead: ${event.message}`);
      case 'app.start':
        return this.started(event.identity);
      default:
        return undefined;
    }
  }

  private started(identity: string): OnceResult | undefined {
    switch (this.state) {
      case 'waiting':
        return undefined;
      case 'receiving':
        return fail(this.failure ?? 'the device started again while the update was being received');
      case 'received':
        // A file system is in place already; a sketch needs eboot, and its command was lost.
        return this.command === 'fs' ? { ok: true } : fail('the eboot command was lost: the old sketch started again');
      case 'copying':
        return identity === 'corrupt' ? fail('the application that was installed is damaged') : { ok: true };
    }
  }
}

const fail = (why: string): OnceResult => ({ ok: false, why });
