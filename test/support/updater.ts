/** An Updater over a real EspFlash and NorFlash, with everything around it played and written down. */
import { Buffer } from 'node:buffer';
import {
  constants,
  createHash,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
  publicDecrypt,
  sign,
} from 'node:crypto';
import { referenceKernels } from '../../assembly/host/reference.ts';
import type { EspFlash } from '../../flash/esp-class.ts';
import type { FlashFault, FlashFaults, FlashOperation, NorFlash } from '../../flash/nor-flash.ts';
import type { SdkCall } from '../../flash/sdk-flash.ts';
import type { UpdateEvent } from '../../ota-services/events.ts';
import type { Clock, SignatureVerifier, System } from '../../ota-services/ports.ts';
import type { ByteSource } from '../../ota-services/stream.ts';
import { Updater } from '../../ota-services/updater.ts';
import { makeEsp, nodeMd5, TestClock } from './flash.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** The device's clock: delays pass at once. */
export class PlayedClock implements Clock {
  /** How often the sketch yielded. */
  yields = 0;
  readonly delays: number[] = [];
  constructor(private readonly chip: TestClock) {}
  micros(): number {
    return this.chip.nowUs() >>> 0;
  }
  millis(): number {
    return Math.floor(this.chip.nowUs() / 1000) >>> 0;
  }
  async delay(ms: number): Promise<void> {
    this.delays.push(ms);
    this.chip.spend(ms * 1000);
  }
  async yield(): Promise<void> {
    this.yields++;
  }
  /** Time passes outside. */
  pass(ms: number): void {
    this.chip.spend(ms * 1000);
  }
}

const neverMore = (what: string) => (): Promise<never> => Promise.reject(new Error(`${what} was called`));

/** `ESP` and `WiFi` as far as the Updater calls them. */
export class PlayedSystem implements System {
  readonly chipId = 0x123456;
  straps = 3;
  heap = 40_000;
  /** Allocations of this size or more fail. */
  failAllocationsFrom = Number.POSITIVE_INFINITY;
  /** Bytes allocated and not released. */
  held = 0;
  wifiSleeps = true;
  /** `mode 2 output`, `2=0`, `restart`, in order. */
  readonly log: string[] = [];
  bootStraps = (): number => this.straps;
  freeHeap = (): number => this.heap;
  allocate(bytes: number): boolean {
    if (bytes >= this.failAllocationsFrom) return false;
    this.held += bytes;
    return true;
  }
  release(bytes: number): void {
    this.held -= bytes;
    if (this.held < 0) throw new Error(`released ${-this.held} bytes that nobody held`);
  }
  restart(): Promise<never> {
    this.log.push('restart');
    return Promise.reject(new Restarted());
  }
  disableWifiSleep(): void {
    this.wifiSleeps = false;
  }
  wifiOff = neverMore('wifiOff');
  hardwareReset = neverMore('hardwareReset');
  digitalWrite(pin: number, level: 0 | 1): void {
    this.log.push(`${pin}=${level}`);
  }
  pinMode(pin: number, mode: 'output' | 'input'): void {
    this.log.push(`mode ${pin} ${mode}`);
  }
}

/** What `restart()` of {@link PlayedSystem} rejects with. */
export class Restarted extends Error {}

/** The eboot command that is armed. */
export interface Copy {
  source: number;
  destination: number;
  size: number;
}

export interface RigOptions {
  /** A layout's name; `4m2m` unless given. */
  layout?: string;
  /** Bytes of the real chip; those of the layout's name unless given. */
  chip?: number;
  /** Size nibble of the running sketch's header; the chip's unless given. */
  nibble?: number;
  /** Flash mode of the running sketch: DIO unless given. */
  mode?: number;
  /** Bytes of the running sketch, a multiple of 16. */
  sketchSize?: number;
  atomicFs?: boolean;
  flashMapSupport?: boolean;
  faults?: FlashFaults;
  /** Takes the debug output. */
  debug?: string[];
}

export interface Rig {
  update: Updater;
  esp: EspFlash;
  chip: NorFlash;
  clock: PlayedClock;
  system: PlayedSystem;
  /** SDK calls since the rig was made. */
  calls: SdkCall[];
  events: UpdateEvent[];
  /** Callbacks in the letters of spec chapter 02 §9.1: `S`, `E`, `X(4)`, `P(0,100)`. */
  log: string[];
  /** Every eboot command that was written; the last one is armed. */
  commands: Copy[];
}

const chipSizes: Readonly<Record<string, number>> = {
  '512k': 512 * KIB,
  '1m': MIB,
  '2m': 2 * MIB,
  '4m': 4 * MIB,
  '8m': 8 * MIB,
};
const nibbles = new Map([
  [512 * KIB, 0],
  [MIB, 2],
  [2 * MIB, 3],
  [4 * MIB, 4],
  [8 * MIB, 8],
  [16 * MIB, 9],
]);

/** A device as spec chapter 02 §13 assumes it, unless told otherwise. */
export function makeRig(options: RigOptions = {}): Rig {
  const layout = options.layout ?? '4m2m';
  const capacity = options.chip ?? chipSizes[/^\d+[km]/.exec(layout)?.[0] ?? ''] ?? 16 * MIB;
  const chipClock = new TestClock();
  const made = makeEsp({
    capacity,
    layout,
    clock: chipClock,
    image: Uint8Array.of(0xe9, 1, options.mode ?? 2, (options.nibble ?? nibbles.get(capacity) ?? 0) << 4),
    ...(options.flashMapSupport === undefined ? {} : { flashMapSupport: options.flashMapSupport }),
    ...(options.faults === undefined ? {} : { faults: options.faults }),
  });
  made.chip.load(0x1000, applicationHeaders(options.sketchSize ?? 344_352));
  const clock = new PlayedClock(chipClock);
  const system = new PlayedSystem();
  const events: UpdateEvent[] = [];
  const commands: Copy[] = [];
  const log: string[] = [];
  const { debug } = options;
  const update = new Updater(
    {
      flash: made.esp,
      clock,
      system,
      command: {
        writeCopy: (source, destination, size) => void commands.push({ source, destination, size }),
        clear: () => {
          throw new Error('the Updater never clears the command');
        },
      },
      md5: nodeMd5,
      emit: (event) => void events.push(event),
    },
    {
      ...(options.atomicFs === undefined ? {} : { atomicFs: options.atomicFs }),
      ...(debug ? { debug: (line: string) => void debug.push(line) } : {}),
    },
  );
  update
    .onStart(() => void log.push('S'))
    .onEnd(() => void log.push('E'))
    .onProgress((done, total) => void log.push(`P(${done},${total})`))
    .onError((code) => void log.push(`X(${code})`));
  return { update, esp: made.esp, chip: made.chip, clock, system, calls: made.calls, events, log, commands };
}

/** Application header and one segment header, so that `getSketchSize()` gives `sketchSize`. */
function applicationHeaders(sketchSize: number): Uint8Array {
  const headers = new Uint8Array(16);
  headers.set([0xe9, 1, 2, 0x40]);
  new DataView(headers.buffer).setUint32(12, sketchSize - 0x1010 - 16, true);
  return headers;
}

/** What a run of the callback log gives, and forgets it. */
export const takeLog = (rig: Rig): string => rig.log.splice(0).join(' ');

/** Erases and writes among the SDK calls so far. */
export const changes = (rig: Rig): SdkCall[] => rig.calls.filter(([kind]) => kind !== 'read');
export const erases = (rig: Rig): number[] =>
  rig.calls.filter(([kind]) => kind === 'erase').map(([, address]) => address);

let pattern = new Uint8Array(0);

/** Byte i is `(i*31 + (i>>8)*7 + 11) & 255`: the rule of the recorded exchanges. */
export function patternBytes(size: number): Uint8Array {
  if (pattern.length < size) {
    pattern = new Uint8Array(size);
    for (let i = 0; i < size; i++) pattern[i] = (i * 31 + (i >> 8) * 7 + 11) & 0xff;
  }
  return pattern.slice(0, size);
}

/** Pattern bytes behind the start of an image header. */
export function sketchBytes(size: number, header: { magic?: number; mode?: number; nibble?: number } = {}): Uint8Array {
  const bytes = patternBytes(size);
  bytes.set([header.magic ?? 0xe9, 1, header.mode ?? 2, (header.nibble ?? 4) << 4].slice(0, size));
  return bytes;
}

/** As {@link sketchBytes}, with length and CRC embedded at 0x1010 as the core's build does. */
export function sketchBytesWithCrc(size: number, mode: number): Uint8Array {
  const bytes = sketchBytes(size, { mode });
  const view = new DataView(bytes.buffer);
  view.setUint32(0x1010, 0, true);
  view.setUint32(0x1014, 0, true);
  const crc = referenceKernels().crc32(bytes);
  view.setUint32(0x1010, size, true);
  view.setUint32(0x1014, crc, true);
  return bytes;
}

/** Index of the first byte that differs, −1 for equal arrays. Quicker than `toEqual` by orders of magnitude. */
export function firstDifference(actual: Uint8Array, expected: Uint8Array): number {
  for (let i = 0; i < Math.max(actual.length, expected.length); i++) if (actual[i] !== expected[i]) return i;
  return -1;
}

export const md5Hex = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
export const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
/** `bytes` cut into pieces of these lengths, and what is left. */
export function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (const length of lengths) {
    pieces.push(bytes.subarray(offset, offset + length));
    offset += length;
  }
  pieces.push(bytes.subarray(offset));
  return pieces.filter((piece) => piece.length > 0);
}

export const word = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};

/** Does `fault` to the operations that `matches` picks, counted from 0, when `nth` says so. */
export function faultAt(
  kind: FlashOperation['kind'],
  nth: number,
  fault: FlashFault = { do: 'fail' },
): FlashFaults & { fired: number } {
  let seen = 0;
  return {
    fired: 0,
    decide(operation) {
      if (operation.kind !== kind || seen++ !== nth) return undefined;
      this.fired++;
      return fault;
    },
  };
}

/** Reads that touch this address fail. */
export const failReadsAt = (address: number): FlashFaults => ({
  decide: ({ kind, address: at, length }) =>
    kind === 'read' && at <= address && address < at + length ? { do: 'fail' } : undefined,
});

/** A sender: pieces that arrive at given times (ms after the source was made), then silence. */
export class ScriptedSource implements ByteSource {
  private readonly start: number;
  private readonly queue: { at: number; bytes: Uint8Array }[];
  /** How many bytes were taken. */
  taken = 0;

  constructor(
    private readonly clock: PlayedClock,
    pieces: readonly { at?: number; bytes: Uint8Array }[],
  ) {
    this.start = clock.millis();
    this.queue = pieces.map(({ at = 0, bytes }) => ({ at, bytes }));
  }

  private arrived(): { at: number; bytes: Uint8Array }[] {
    return this.queue.filter(({ at }) => this.start + at <= this.clock.millis());
  }

  available(): number {
    return this.arrived().reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  peek(max: number): Uint8Array {
    const pieces: Uint8Array[] = [];
    let left = max;
    for (const { bytes } of this.arrived()) {
      if (left <= 0) break;
      pieces.push(bytes.subarray(0, left));
      left -= bytes.length;
    }
    return concat(...pieces);
  }

  read(max: number): Uint8Array {
    const data = this.peek(max);
    this.taken += data.length;
    let left = data.length;
    while (left > 0) {
      const first = this.queue[0]!;
      const length = Math.min(left, first.bytes.length);
      first.bytes = first.bytes.subarray(length);
      if (first.bytes.length === 0) this.queue.shift();
      left -= length;
    }
    return data;
  }

  async wait(ms: number): Promise<void> {
    const now = this.clock.millis() - this.start;
    const next = this.queue.find(({ at }) => at > now)?.at ?? Number.POSITIVE_INFINITY;
    this.clock.pass(Math.min(ms, next - now));
  }
}

let rsaKeys: { publicKey: KeyObject; privateKey: KeyObject } | undefined;
/** One RSA-2048 pair for the whole process. */
export function testKeys(): { publicKey: KeyObject; privateKey: KeyObject } {
  rsaKeys ??= generateKeyPairSync('rsa', { modulusLength: 2048 });
  return rsaKeys;
}

const SHA256_PREFIX = Buffer.from('3031300d060960864801650304020105000420', 'hex');

/** Bytes behind an RSA signature's payload: signature, then its length. */
export function signedFile(payload: Uint8Array): Uint8Array {
  const signature = sign('sha256', payload, testKeys().privateKey);
  return concat(payload, signature, word(signature.length));
}

/** The legacy form: the bare digest padded, no DigestInfo. */
export function legacySignedFile(payload: Uint8Array): Uint8Array {
  const digest = createHash('sha256').update(payload).digest();
  const signature = privateEncrypt({ key: testKeys().privateKey, padding: constants.RSA_PKCS1_PADDING }, digest);
  return concat(payload, signature, word(signature.length));
}

function sha256(): { update(data: Uint8Array): void; digest(): Uint8Array } {
  const hash = createHash('sha256');
  return { update: (data) => void hash.update(data), digest: () => new Uint8Array(hash.digest()) };
}

/** A verifier for {@link testKeys}, by the rules of spec chapter 02 §7.2. `hashed` collects the lengths it was fed. */
export function rsaVerifier(hashed: number[] = []): SignatureVerifier {
  const { publicKey } = testKeys();
  return {
    length: 256,
    hash: () => {
      const hash = sha256();
      return {
        update: (data) => {
          hashed.push(data.length);
          hash.update(data);
        },
        digest: hash.digest,
      };
    },
    verify(digest, signature) {
      if (signature?.length !== 256) return false;
      let padded: Buffer;
      try {
        padded = publicDecrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, signature);
      } catch {
        return false; // the padding is wrong
      }
      return padded.equals(concat(SHA256_PREFIX, digest));
    },
  };
}

/** EC keys and missing keys: a length, and never satisfied (Q17). */
export const refusingVerifier = (length: number): SignatureVerifier => ({ length, hash: sha256, verify: () => false });
