/**
 * `--gdb PORT`: a port on the loopback where a debugger finds the CPU. With it every bootloader (and every executed flasher
 * stub) halts at its first instruction until a debugger lets it go on; after a debugger has left, nothing halts any more.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { listing } from '../../assembly/host/lx106-disassemble.ts';
import type { HostPort } from '../events.ts';
import type { NativeDebug } from '../native-debug.ts';
import { ListenError } from '../network/device-network.ts';
import { PacketDecoder } from './packets.ts';
import { type GdbCpu, GdbSession } from './session.ts';

const HOST = '127.0.0.1';
const LONGEST_INSTRUCTION = 3;

export class GdbServer {
  /** Kept from one start of the bootloader to the next. */
  private readonly breakpoints = new Set<number>();
  private readonly server: Server;
  private debug: NativeDebug | undefined;
  private session: GdbSession | undefined;
  private socket: Socket | undefined;
  private halts = true;
  private interrupted = false;
  private port = 0;

  constructor() {
    this.server = createServer({ noDelay: true }, (socket) => this.connect(socket));
  }

  get address(): HostPort {
    return { host: HOST, port: this.port };
  }

  /** @throws ListenError when the port is taken */
  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          new ListenError(
            `--gdb ${HOST}:${port}: ${error.code === 'EADDRINUSE' ? 'the port is in use' : error.message}`,
          ),
        ),
      );
      this.server.listen(port, HOST, resolve);
    });
    this.port = (this.server.address() as { port: number }).port;
  }

  /** Code begins to be executed (and halts at once), or, with undefined, has ended. */
  attach(debug: NativeDebug | undefined): void {
    this.debug = debug;
    if (!debug) return;
    for (const address of this.breakpoints) debug.breakpoints.add(address);
    if (this.halts) debug.budget = 0;
  }

  /** The CPU has halted. */
  halted(reason: 'breakpoint' | 'step' | 'end'): void {
    if (reason === 'end') return;
    const why = this.interrupted ? 'interrupt' : reason;
    this.interrupted = false;
    this.session?.halted(why);
  }

  async close(): Promise<void> {
    this.socket?.destroy();
    if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
  }

  /** One debugger at a time. */
  private connect(socket: Socket): void {
    if (this.socket) {
      socket.destroy();
      return;
    }
    this.socket = socket;
    this.halts = true;
    const server = this;
    const session = new GdbSession(
      {
        get cpu() {
          return server.debug && cpuOf(server.debug);
        },
        setBreakpoint: (address, on) => {
          for (const set of [this.breakpoints, this.debug?.breakpoints]) {
            if (on) set?.add(address);
            else set?.delete(address);
          }
        },
        clearBreakpoints: () => this.clearBreakpoints(),
        step: () => this.step(),
        resume: () => this.debug?.resume(),
        interrupt: () => this.interrupt(),
      },
      (bytes) => void socket.write(bytes),
      () => socket.end(),
    );
    this.session = session;
    const decoder = new PacketDecoder((incoming) => session.receive(incoming));
    socket.on('data', (bytes) => decoder.push(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.socket = undefined;
      this.session = undefined;
      this.halts = false;
      this.clearBreakpoints();
      this.debug?.resume();
    });
    // Whoever connects finds a CPU that stands still.
    this.interrupt();
  }

  private step(): void {
    // Ends with a stop of its own; one more wish to halt is no harm.
    this.debug?.step(1).catch(() => {});
  }

  private interrupt(): boolean {
    const { debug } = this;
    if (!debug) return false;
    this.interrupted = debug.halt();
    return true;
  }

  private clearBreakpoints(): void {
    this.breakpoints.clear();
    this.debug?.breakpoints.clear();
  }
}

function cpuOf(debug: NativeDebug): GdbCpu {
  const { cpu } = debug.machine;
  const inRam = <T>(use: () => T): T | undefined => {
    try {
      return use();
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  };
  return {
    getRegister(name) {
      if (name === 'zero') return 0;
      if (name === 'pc') return cpu.pc;
      return /^a\d/.test(name) ? cpu.registers[Number(name.slice(1))]! : cpu.special.get(name);
    },
    setRegister(name, value) {
      if (name === 'pc') cpu.pc = value;
      else if (/^a\d/.test(name)) cpu.registers[Number(name.slice(1))] = value;
      else if (name !== 'zero') cpu.special.set(name, value);
    },
    read: (address, length) => inRam(() => cpu.readBytes(address, length)),
    write: (address, data) =>
      inRam(() => {
        cpu.writeBytes(address, data);
        return true;
      }) ?? false,
    listing: (address, count) => {
      const bytes =
        inRam(() => cpu.readBytes(address, LONGEST_INSTRUCTION * count)) ?? inRam(() => cpu.readBytes(address, 3));
      return `${listing(bytes ?? new Uint8Array(0), address)
        .slice(0, count)
        .join('\n')}\n`;
    },
  };
}
