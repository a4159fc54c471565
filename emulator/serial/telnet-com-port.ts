/**
 * The server's side of RFC 2217: Telnet with COM-PORT-OPTION. Bytes in, actions out; pure, and indifferent to how the bytes
 * are cut into pieces. Source: RFC 854, RFC 2217, spec chapter 05 §3.2.
 */

const IAC = 255;
const DONT = 254;
const DO = 253;
const WONT = 252;
const WILL = 251;
const SB = 250;
const SE = 240;

const BINARY = 0;
const SUPPRESS_GO_AHEAD = 3;
const COM_PORT = 44;
const ACCEPTED: readonly number[] = [BINARY, SUPPRESS_GO_AHEAD, COM_PORT];

const SIGNATURE = 0;
const SET_BAUDRATE = 1;
const SET_DATASIZE = 2;
const SET_PARITY = 3;
const SET_STOPSIZE = 4;
const SET_CONTROL = 5;
const PURGE_DATA = 12;
/** Codes of the server are those of the client plus this. */
const SERVER = 100;

const CONTROL_REQUEST_FLOW = 0;
const CONTROL_NO_FLOW = 1;
const CONTROL_REQUEST_BREAK = 4;
const CONTROL_BREAK_OFF = 6;
const CONTROL_REQUEST_DTR = 7;
const CONTROL_DTR_ON = 8;
const CONTROL_DTR_OFF = 9;
const CONTROL_REQUEST_RTS = 10;
const CONTROL_RTS_ON = 11;
const CONTROL_RTS_OFF = 12;
const CONTROL_REQUEST_INBOUND_FLOW = 13;
const CONTROL_NO_INBOUND_FLOW = 14;

/** Longer sub-negotiations mean nothing to a serial port and are dropped. */
const SUBNEGOTIATION_BYTES = 256;
/** What a port that was never told otherwise has. */
const DEFAULTS: Readonly<Record<number, number>> = { [SET_DATASIZE]: 8, [SET_PARITY]: 1, [SET_STOPSIZE]: 1 };
const DEFAULT_BAUD = 9600;
const SIGNATURE_TEXT = 'esp8266-ota-emulator';

/** What the bytes of a client ask for. */
export type ComPortAction =
  /** For the device. */
  | { readonly do: 'data'; readonly bytes: Uint8Array }
  /** For the client, in this order with everything else. */
  | { readonly do: 'answer'; readonly bytes: Uint8Array }
  | { readonly do: 'baud'; readonly rate: number }
  | { readonly do: 'lines'; readonly dtr?: boolean; readonly rts?: boolean }
  /** Drop what waits for the client (`output`), and what waits for the device (`input`). */
  | { readonly do: 'purge'; readonly output: boolean; readonly input: boolean };

type State = 'data' | 'command' | 'option' | 'sub' | 'sub-command';

export class TelnetComPort {
  private state: State = 'data';
  /** DO, DONT, WILL or WONT whose option comes next. */
  private verb = 0;
  private sub: number[] = [];
  private subTooLong = false;
  /** Options that we do, and that the client does. */
  private readonly ours = new Set<number>();
  private readonly theirs = new Set<number>();
  private baud = DEFAULT_BAUD;
  private readonly settings = new Map<number, number>(Object.entries(DEFAULTS).map(([key, v]) => [Number(key), v]));
  private dtr = false;
  private rts = false;

  /** Takes what the client sent. */
  receive(bytes: Uint8Array): ComPortAction[] {
    const actions: ComPortAction[] = [];
    let data: number[] = [];
    const flush = (): void => {
      if (data.length > 0) actions.push({ do: 'data', bytes: Uint8Array.from(data) });
      data = [];
    };
    for (const byte of bytes) {
      switch (this.state) {
        case 'data':
          if (byte === IAC) this.state = 'command';
          else data.push(byte);
          break;
        case 'command':
          this.state = 'data';
          if (byte === IAC) data.push(IAC);
          else if (byte === SB) {
            this.state = 'sub';
            this.sub = [];
            this.subTooLong = false;
          } else if (byte >= WILL) {
            this.state = 'option';
            this.verb = byte;
          }
          // Other commands (NOP, BREAK, …) mean nothing here.
          break;
        case 'option':
          this.state = 'data';
          flush();
          this.negotiate(this.verb, byte, actions);
          break;
        case 'sub':
          if (byte === IAC) this.state = 'sub-command';
          else this.collect(byte);
          break;
        case 'sub-command':
          if (byte === IAC) {
            this.state = 'sub';
            this.collect(IAC);
            break;
          }
          // SE ends it; any other command here is a mistake, which ends it as well.
          this.state = 'data';
          flush();
          if (byte === SE && !this.subTooLong) this.subnegotiation(this.sub, actions);
          this.sub = [];
          break;
        default:
          this.state satisfies never;
      }
    }
    flush();
    return actions;
  }

  /** Bytes of the device as they go to the client: 0xFF doubled. */
  static encode(bytes: Uint8Array): Uint8Array {
    let doubled = 0;
    for (const byte of bytes) if (byte === IAC) doubled++;
    if (doubled === 0) return bytes;
    const out = new Uint8Array(bytes.length + doubled);
    let at = 0;
    for (const byte of bytes) {
      out[at++] = byte;
      if (byte === IAC) out[at++] = IAC;
    }
    return out;
  }

  private collect(byte: number): void {
    if (this.sub.length < SUBNEGOTIATION_BYTES) this.sub.push(byte);
    else this.subTooLong = true;
  }

  /** Answers what changes something, and refusals always: so two sides never go on for ever. */
  private negotiate(verb: number, option: number, actions: ComPortAction[]): void {
    const answer = (reply: number): void => {
      actions.push({ do: 'answer', bytes: Uint8Array.of(IAC, reply, option) });
    };
    const known = ACCEPTED.includes(option);
    const asks = verb === DO || verb === WILL;
    const active = verb === DO || verb === DONT ? this.ours : this.theirs;
    const yes = verb === DO || verb === DONT ? WILL : DO;
    const no = verb === DO || verb === DONT ? WONT : DONT;
    if (asks && !known) return answer(no);
    if (asks && !active.has(option)) {
      active.add(option);
      return answer(yes);
    }
    if (!asks && active.delete(option)) answer(no);
  }

  private subnegotiation(sub: readonly number[], actions: ComPortAction[]): void {
    const [option, code, ...value] = sub;
    if (option !== COM_PORT || code === undefined || code >= SERVER) return;
    actions.push(...this.effects(code, value));
    const reply = this.reply(code, value).flatMap((byte) => (byte === IAC ? [IAC, IAC] : [byte]));
    actions.push({
      do: 'answer',
      bytes: Uint8Array.of(IAC, SB, COM_PORT, code + SERVER, ...reply, IAC, SE),
    });
  }

  /** What a request does, its answer left out. */
  private effects(code: number, value: readonly number[]): ComPortAction[] {
    const [first = 0] = value;
    switch (code) {
      case SET_BAUDRATE: {
        const rate = bigEndian(value);
        if (value.length !== 4 || rate === 0) return [];
        this.baud = rate;
        return [{ do: 'baud', rate }];
      }
      case SET_DATASIZE:
      case SET_PARITY:
      case SET_STOPSIZE:
        if (first !== 0) this.settings.set(code, first);
        return [];
      case SET_CONTROL:
        return this.control(first);
      case PURGE_DATA:
        return first >= 1 && first <= 3 ? [{ do: 'purge', output: (first & 1) !== 0, input: (first & 2) !== 0 }] : [];
      default:
        return [];
    }
  }

  private control(value: number): ComPortAction[] {
    switch (value) {
      case CONTROL_DTR_ON:
      case CONTROL_DTR_OFF:
        this.dtr = value === CONTROL_DTR_ON;
        return [{ do: 'lines', dtr: this.dtr }];
      case CONTROL_RTS_ON:
      case CONTROL_RTS_OFF:
        this.rts = value === CONTROL_RTS_ON;
        return [{ do: 'lines', rts: this.rts }];
      default:
        return [];
    }
  }

  /** The value that goes back: what was sent, or for a question the present state. */
  private reply(code: number, value: readonly number[]): readonly number[] {
    const [first = 0] = value;
    switch (code) {
      case SIGNATURE:
        return value.length > 0 ? value : [...SIGNATURE_TEXT].map((letter) => letter.charCodeAt(0));
      case SET_BAUDRATE:
        return bigEndian(value) === 0 ? [24, 16, 8, 0].map((shift) => (this.baud >>> shift) & 0xff) : value;
      case SET_DATASIZE:
      case SET_PARITY:
      case SET_STOPSIZE:
        return first === 0 ? [this.settings.get(code)!] : value;
      case SET_CONTROL:
        return [this.controlReply(first)];
      default:
        return value;
    }
  }

  private controlReply(value: number): number {
    switch (value) {
      case CONTROL_REQUEST_FLOW:
        return CONTROL_NO_FLOW;
      case CONTROL_REQUEST_BREAK:
        return CONTROL_BREAK_OFF;
      case CONTROL_REQUEST_DTR:
        return this.dtr ? CONTROL_DTR_ON : CONTROL_DTR_OFF;
      case CONTROL_REQUEST_RTS:
        return this.rts ? CONTROL_RTS_ON : CONTROL_RTS_OFF;
      case CONTROL_REQUEST_INBOUND_FLOW:
        return CONTROL_NO_INBOUND_FLOW;
      default:
        return value;
    }
  }
}

const bigEndian = (bytes: readonly number[]): number => bytes.reduce((value, byte) => value * 256 + byte, 0) >>> 0;
