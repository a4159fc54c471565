/**
 * One debugger's conversation with the CPU: packets in, packets out, no sockets. Source: the manual of GDB, appendix E.
 * What works: registers, memory, breakpoints, step, continue, interrupt, detach, and `monitor` commands.
 */
import { encodePacket, fromHex, type Incoming, toHex } from './packets.ts';
import { REGISTER_NAMES, targetDescription } from './registers.ts';

/** Bytes of a payload, as told to the debugger. */
const PACKET_SIZE = 0x1000;
const SIGNAL_INTERRUPT = 2;
const SIGNAL_TRAP = 5;

/** The CPU as the session needs it; undefined while no code is executed. */
export interface GdbCpu {
  getRegister(name: string): number;
  setRegister(name: string, value: number): void;
  /** Undefined where no RAM is. */
  read(address: number, length: number): Uint8Array | undefined;
  write(address: number, data: Uint8Array): boolean;
  /** The coming instructions as text, for `monitor dis`. */
  listing(address: number, count: number): string;
}

export interface GdbControl {
  readonly cpu: GdbCpu | undefined;
  setBreakpoint(address: number, on: boolean): void;
  clearBreakpoints(): void;
  step(): void;
  resume(): void;
  /** Halts as soon as possible. False when no code is executed. */
  interrupt(): boolean;
}

export class GdbSession {
  /** The debugger waits for a stop. */
  private running = false;
  private acknowledges = true;
  private gone = false;

  constructor(
    private readonly control: GdbControl,
    private readonly send: (bytes: Uint8Array) => void,
    private readonly close: () => void,
  ) {}

  receive(incoming: Incoming): void {
    if (this.gone) return;
    if (incoming === 'interrupt') {
      if (!this.running) return;
      // Nothing is executed: the program has ended, as far as a debugger understands.
      if (!this.control.interrupt()) this.stop('W00');
      return;
    }
    if (!incoming.intact) {
      if (this.acknowledges) this.send(Uint8Array.of(0x2d));
      return;
    }
    if (this.acknowledges) this.send(Uint8Array.of(0x2b));
    const answer = this.answer(Buffer.from(incoming.packet).toString('latin1'), incoming.packet);
    if (answer !== undefined) this.send(encodePacket(answer));
  }

  /** The CPU has halted. */
  halted(reason: 'breakpoint' | 'step' | 'interrupt'): void {
    if (!this.running) return;
    // Said so, the debugger takes pc as it is; i386's points behind a breakpoint's instruction.
    const why = reason === 'breakpoint' ? 'swbreak:;' : '';
    this.stop(`T${toHex([reason === 'interrupt' ? SIGNAL_INTERRUPT : SIGNAL_TRAP])}${why}`);
  }

  private stop(answer: string): void {
    this.running = false;
    this.send(encodePacket(answer));
  }

  /** Undefined: no answer, or a later one. */
  private answer(text: string, bytes: Uint8Array): string | undefined {
    const { control } = this;
    switch (text[0]) {
      case '?':
        return 'S05';
      case 'g':
        // A device that executes nothing now has registers all the same, for debuggers that insist.
        return REGISTER_NAMES.map((name) => wordHex(control.cpu?.getRegister(name) ?? 0)).join('');
      case 'G':
        return this.withCpu((cpu) => this.setAll(cpu, text.slice(1)));
      case 'p':
        return this.withCpu((cpu) => {
          const name = REGISTER_NAMES[Number.parseInt(text.slice(1), 16)];
          return name === undefined ? 'E01' : wordHex(cpu.getRegister(name));
        });
      case 'P':
        return this.withCpu((cpu) => this.setOne(cpu, text.slice(1)));
      case 'm':
        return this.withCpu((cpu) => readMemory(cpu, text.slice(1)));
      case 'M':
      case 'X':
        return this.withCpu((cpu) => writeMemory(cpu, text, bytes));
      case 'Z':
      case 'z':
        return this.breakpoint(text);
      case 's':
      case 'c':
        return this.go(text[0], text.slice(1));
      case 'D':
        this.leave();
        return 'OK';
      case 'k':
        this.leave();
        return undefined;
      case 'H':
      case 'T':
        return 'OK';
      case 'v':
        return this.verbose(text);
      case 'q':
      case 'Q':
        return this.query(text);
      default:
        return '';
    }
  }

  private leave(): void {
    this.gone = true;
    this.control.clearBreakpoints();
    this.control.resume();
    queueMicrotask(this.close);
  }

  private withCpu(use: (cpu: GdbCpu) => string): string {
    const { cpu } = this.control;
    return cpu ? use(cpu) : 'E01';
  }

  private go(how: 's' | 'c', address: string): undefined {
    const { control } = this;
    this.running = true;
    if (address !== '' && control.cpu) control.cpu.setRegister('pc', Number.parseInt(address, 16));
    if (how === 's') control.step();
    else control.resume();
  }

  private verbose(text: string): string | undefined {
    if (text === 'vCont?') return 'vCont;c;C;s;S';
    const action = /^vCont;([csCS])/.exec(text)?.[1]?.toLowerCase();
    return action === 'c' || action === 's' ? this.go(action, '') : '';
  }

  private query(text: string): string {
    if (text.startsWith('qSupported')) {
      return `PacketSize=${PACKET_SIZE.toString(16)};qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+`;
    }
    if (text === 'QStartNoAckMode') {
      this.acknowledges = false;
      return 'OK';
    }
    if (text === 'qAttached') return '1';
    if (text === 'qC') return 'QC1';
    if (text === 'qfThreadInfo') return 'm1';
    if (text === 'qsThreadInfo') return 'l';
    const part = /^qXfer:features:read:target\.xml:([0-9a-f]+),([0-9a-f]+)$/i.exec(text);
    if (part) return portion(targetDescription(), Number.parseInt(part[1]!, 16), Number.parseInt(part[2]!, 16));
    if (text.startsWith('qRcmd,')) return this.monitor(Buffer.from(fromHex(text.slice(6)) ?? []).toString('latin1'));
    return '';
  }

  /** `monitor dis [ADDRESS [COUNT]]`: the listing that a debugger without Xtensa cannot make. */
  private monitor(line: string): string {
    const [command, address, count] = line.trim().split(/\s+/);
    if (command !== 'dis') return toHex(Buffer.from('monitor commands: dis [ADDRESS [COUNT]]\n'));
    return this.withCpu((cpu) => {
      const from = address === undefined ? cpu.getRegister('pc') : Number(address) >>> 0;
      return toHex(Buffer.from(cpu.listing(from, Math.min(Number(count ?? 8) || 8, 100))));
    });
  }

  private breakpoint(text: string): string {
    const parts = /^[Zz]([01]),([0-9a-f]+),/i.exec(text);
    if (!parts) return '';
    const address = Number.parseInt(parts[2]!, 16);
    this.control.setBreakpoint(address, text[0] === 'Z');
    return 'OK';
  }

  private setOne(cpu: GdbCpu, text: string): string {
    const [number, value] = text.split('=');
    const name = REGISTER_NAMES[Number.parseInt(number ?? '', 16)];
    const bytes = fromHex(value ?? '');
    if (name === undefined || bytes?.length !== 4) return 'E01';
    cpu.setRegister(name, wordOf(bytes, 0));
    return 'OK';
  }

  private setAll(cpu: GdbCpu, text: string): string {
    const bytes = fromHex(text);
    if (!bytes || bytes.length % 4 !== 0) return 'E01';
    REGISTER_NAMES.slice(0, bytes.length / 4).forEach((name, index) => {
      // Registers that come twice count once.
      if (REGISTER_NAMES.indexOf(name) === index) cpu.setRegister(name, wordOf(bytes, 4 * index));
    });
    return 'OK';
  }
}

function readMemory(cpu: GdbCpu, text: string): string {
  const [address, length] = text.split(',').map((part) => Number.parseInt(part, 16));
  if (address === undefined || length === undefined || !(length <= PACKET_SIZE)) return 'E01';
  const bytes = cpu.read(address, length);
  return bytes ? toHex(bytes) : 'E14';
}

/** `M address,length:hex`, or `X address,length:bytes`. */
function writeMemory(cpu: GdbCpu, text: string, bytes: Uint8Array): string {
  const colon = text.indexOf(':');
  const [address, length] = text
    .slice(1, colon)
    .split(',')
    .map((part) => Number.parseInt(part, 16));
  const data = text[0] === 'X' ? bytes.subarray(colon + 1) : fromHex(text.slice(colon + 1));
  if (colon < 0 || address === undefined || !data || data.length !== length) return 'E01';
  return data.length === 0 || cpu.write(address, data) ? 'OK' : 'E14';
}

function portion(text: string, offset: number, length: number): string {
  return `${offset + length < text.length ? 'm' : 'l'}${text.slice(offset, offset + length)}`;
}

const wordOf = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
const wordHex = (value: number): string =>
  toHex([value, value >>> 8, value >>> 16, value >>> 24].map((byte) => byte & 0xff));
