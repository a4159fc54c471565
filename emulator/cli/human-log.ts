/**
 * What a person sees of a running device: the serial line as it is, and between its lines short notes in words, set off by
 * `--` and (on a terminal) colour.
 */
import { styleText } from 'node:util';
import type { Addresses, EventOf, HostPort, Stamped } from '../events.ts';

type Style = 'dim' | 'red' | 'yellow' | 'green' | 'cyan';

export class HumanLog {
  private readonly colour: boolean;
  private readonly tty: boolean;
  private atLineStart = true;
  /** Notes that came while a serial line was being printed. */
  private held: (() => void)[] = [];
  private lastRedrawn = '';

  constructor(
    private readonly out: NodeJS.WriteStream,
    /** With `--events -` there is no `ready` line. */
    private readonly withoutReady: boolean,
  ) {
    this.tty = out.isTTY === true;
    this.colour = this.tty && !process.env['NO_COLOR'];
  }

  see(event: Stamped): void {
    switch (event.type) {
      case 'serial.out':
        // Frames of the loader are nothing to read; `loader.*` and `serial.host` tell what goes on.
        return event.loader ? undefined : this.serial(event.text);
      case 'loader.start':
        return this.note(event.dialect === 'rom' ? 'the serial loader waits for a host' : 'a flasher stub runs', 'dim');
      case 'serial.host':
        return this.note(hostNote(event), event.state === 'ignored' ? 'yellow' : 'dim');
      case 'device.ready':
        return this.withoutReady ? undefined : this.line(readyLine(event.addresses), 'green');
      case 'reset':
        return this.note(`reset: ${event.cause}`, 'dim', true);
      case 'power.off':
        return this.note(
          `power off${event.cause === 'fault' ? ' (fault)' : ''}`,
          event.cause === 'fault' ? 'red' : 'dim',
        );
      case 'power.on':
        return this.note('power on', 'dim', true);
      case 'app.start':
        return this.note(
          `application ${event.version ?? 'without manifest'}: ${event.size} bytes, md5 ${event.md5}, sketch ${event.sketch}` +
            (event.identity === 'corrupt' ? ', DAMAGED' : ''),
          event.identity === 'corrupt' ? 'red' : 'cyan',
        );
      case 'ota.invite':
        return this.note(
          `${event.peer} invites: ${event.command === 0 ? 'sketch' : 'file system'}, ${event.size} bytes`,
          'dim',
        );
      case 'ota.auth':
        return this.note(
          `${event.peer} ${event.ok ? 'knows the password' : 'has a wrong password'}`,
          event.ok ? 'dim' : 'yellow',
        );
      case 'ota.connect':
        return event.ok ? undefined : this.note(`${event.peer} cannot be reached by TCP`, 'yellow');
      case 'update.begin':
        return this.note(`update of the ${event.command} begins at 0x${event.address.toString(16)}`, 'dim');
      case 'update.end':
        return this.note(`update of ${event.size} bytes complete`, 'green');
      case 'update.error':
        return this.note(`update error ${event.code}: ${event.message}`, 'red');
      case 'httpupdate.request':
        return this.note(`asks ${event.url} for ${asked(event.headers)}`, 'dim');
      case 'httpupdate.response':
        return this.note(
          `the server answers ${event.status}${answer(event.headers)}`,
          event.status === 200 || event.status === 304 ? 'dim' : 'yellow',
        );
      case 'httpupdate.end':
        return this.httpUpdateEnd(event);
      case 'eboot.command':
        return this.note(
          `eboot copies ${event.size} bytes from 0x${event.source.toString(16)} to 0x${event.destination.toString(16)}`,
          'dim',
        );
      case 'cpu.stop':
        return this.note(
          `the CPU stopped at 0x${event.pc.toString(16)}: ${event.reason}${event.cause === undefined ? '' : ` ${event.cause}`}`,
          'yellow',
        );
      case 'app.crash':
        return this.note(`the application crashed: ${event.reason}`, 'red');
      case 'device.dead':
        return this.note(`the device is dead (${event.why}): ${event.message}`, 'red');
      case 'device.frozen':
        return this.note(`the device is frozen in ${event.where}: ${event.cure}`, 'yellow');
      case 'device.thawed':
        return this.note(`the device goes on (${event.where})`, 'dim');
      case 'fault.armed':
        return this.note(`fault armed: ${event.spec}`, 'yellow');
      case 'fault.fired':
        return this.note(`fault fired: ${event.spec}`, 'red');
      case 'sketch.log':
        return this.note(event.text, 'dim');
      default:
        return undefined;
    }
  }

  private httpUpdateEnd({ result, error, message, why }: EventOf<'httpupdate.end'>): void {
    if (result === 'ok') return this.note('httpUpdate succeeded', 'green');
    if (result === 'no-updates') return this.note('httpUpdate: the server has nothing newer', 'dim');
    this.note(`httpUpdate failed, error ${error}: ${message}${why === undefined ? '' : ` (${why})`}`, 'red');
  }

  /** Comes first, so that a person can open it. */
  livePage(url: string): void {
    this.line(`live page ${url}`, 'green');
  }

  /** A note of the command itself. */
  say(text: string): void {
    this.note(text, 'dim');
  }

  error(message: string): void {
    this.startLine();
    process.stderr.write(`error: ${message}\n`);
  }

  /**
   * A terminal redraws lines that end with CR (the progress of an update); in a file each gets a line of its own, once.
   */
  private serial(text: string): void {
    if (!this.tty && text.endsWith('\r')) {
      if (text === this.lastRedrawn) return;
      this.lastRedrawn = text;
    }
    const lines = text.replaceAll('\r\n', '\n');
    const shown = this.tty ? lines : lines.replaceAll('\r', '\n');
    if (shown === '') return;
    this.out.write(shown);
    this.atLineStart = shown.endsWith('\n');
    if (this.atLineStart) for (const print of this.held.splice(0)) print();
  }

  /** What happens to the device as a whole breaks into a serial line; the rest waits for its end. */
  private note(text: string, style: Style, breaks = false): void {
    const print = (): void => this.line(`-- ${text}`, style);
    if (this.atLineStart || breaks) print();
    else this.held.push(print);
  }

  private line(text: string, style: Style): void {
    this.startLine();
    this.out.write(`${this.colour ? styleText(style, text) : text}\n`);
  }

  private startLine(): void {
    if (!this.atLineStart) this.out.write('\n');
    this.atLineStart = true;
    for (const print of this.held.splice(0)) print();
  }
}

function hostNote({ peer, state }: EventOf<'serial.host'>): string {
  switch (state) {
    case 'connected':
      return `${peer} opened the serial port`;
    case 'flashing':
      return `${peer} talks with the serial loader`;
    case 'ignored':
      return `${peer} is ignored: another host talks with the serial loader`;
    default:
      return `${peer} closed the serial port`;
  }
}

/** Header names arrive as they were sent; servers write theirs in any case. */
function header(headers: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
}

/** A request behind a redirect has lost the headers that say what it wants (spec chapter 04 §18). */
function asked(headers: Readonly<Record<string, string>>): string {
  const mode = header(headers, 'x-esp8266-mode');
  if (mode === undefined) return 'an update, behind a redirect';
  const what = { sketch: 'a sketch', spiffs: 'a file system', version: 'the version it has' }[mode] ?? mode;
  const version = header(headers, 'x-esp8266-version');
  return version === undefined ? what : `${what}, has version ${version}`;
}

function answer(headers: Readonly<Record<string, string>>): string {
  const length = header(headers, 'content-length');
  const location = header(headers, 'location');
  return (length === undefined ? '' : `, ${length} bytes`) + (location === undefined ? '' : `, go to ${location}`);
}

/** `ready ota=127.0.0.1:8266 …`: keys as in the event `device.ready`. */
export function readyLine(addresses: Addresses): string {
  const parts = Object.entries(addresses).map(([key, at]) => `${key}=${'path' in at ? at.path : address(at)}`);
  return ['ready', ...parts].join(' ');
}

const address = ({ host, port }: HostPort): string => `${host}:${port}`;
