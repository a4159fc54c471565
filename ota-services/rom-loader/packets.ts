/** Requests and responses: what is inside a SLIP frame. Source: spec chapter 05 §4. */
import { BLOCK_HEADER_BYTES, BLOCK_LIMIT, SYNC } from './commands.ts';
import { slipFrame } from './slip.ts';

const HEADER_BYTES = 8;
const DIRECTION_REQUEST = 0;
const DIRECTION_RESPONSE = 1;
const CHECKSUM_SEED = 0xef;
/** Payload of the longest request: a block with its header, in a packet. */
export const REQUEST_LIMIT = HEADER_BYTES + BLOCK_HEADER_BYTES + BLOCK_LIMIT;

export interface Request {
  readonly command: number;
  /** The field, 32 bits; only block commands look at it. */
  readonly checksum: number;
  readonly data: Uint8Array;
  /** The length field agrees with the data, and the frame was not too long. */
  readonly whole: boolean;
}

/** A frame as a request; `undefined` for one that is none: shorter than a header, or going the other way. */
export function parseRequest(frame: Uint8Array): Request | undefined {
  if (frame.length < HEADER_BYTES || frame[0] !== DIRECTION_REQUEST) return undefined;
  const length = frame[2]! | (frame[3]! << 8);
  return {
    command: frame[1]!,
    checksum: word(frame, 4),
    data: frame.subarray(HEADER_BYTES),
    whole: frame.length === HEADER_BYTES + length && frame.length <= REQUEST_LIMIT,
  };
}

/** A request as a host sends it: the other half of {@link parseRequest}, for tests and tools. */
export function encodeRequest(command: number, data: Uint8Array = new Uint8Array(0), checksum = 0): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + data.length);
  frame[0] = DIRECTION_REQUEST;
  putHeader(frame, command, data.length, checksum);
  frame.set(data, HEADER_BYTES);
  return slipFrame(frame);
}

export interface Response {
  readonly command: number;
  /** 0 unless the command has something to tell in this field: READ_REG, SYNC. */
  readonly value?: number;
  /** Comes before the two status bytes. */
  readonly data?: Uint8Array;
  readonly status: number;
  readonly error: number;
}

/** A response as it goes over the wire, delimiters included. */
export function encodeResponse({ command, value = 0, data, status, error }: Response): Uint8Array {
  const size = data?.length ?? 0;
  const frame = new Uint8Array(HEADER_BYTES + size + 2);
  frame[0] = DIRECTION_RESPONSE;
  putHeader(frame, command, size + 2, value);
  if (data) frame.set(data, HEADER_BYTES);
  frame[HEADER_BYTES + size] = status;
  frame[HEADER_BYTES + size + 1] = error;
  return slipFrame(frame);
}

/** XOR of the bytes after the block header, seeded with 0xEF. */
export function checksum(bytes: Uint8Array): number {
  let sum = CHECKSUM_SEED;
  for (let i = 0; i < bytes.length; i++) sum ^= bytes[i]!;
  return sum;
}

/** The unsigned little-endian word at a byte offset. */
export const word = (bytes: Uint8Array, offset: number): number =>
  (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>> 0;

/** A little-endian word. */
export const wordBytes = (value: number): Uint8Array =>
  Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);

/** The data of every SYNC: `07 07 12 20`, then 32 times 0x55, by which the ROM measures the baud rate. */
export const SYNC_DATA: Uint8Array = Uint8Array.of(0x07, 0x07, 0x12, 0x20, ...new Array<number>(32).fill(0x55));

/** Whether a frame's payload is the SYNC that every host begins with; for whoever waits for one outside the loader. */
export function isSync(frame: Uint8Array): boolean {
  const request = parseRequest(frame);
  return (
    request?.whole === true &&
    request.command === SYNC &&
    request.data.length === SYNC_DATA.length &&
    request.data.every((byte, i) => byte === SYNC_DATA[i])
  );
}

/** The head of a *_DATA command with its bytes. */
export interface Block {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/** A block command's block; `undefined` when the length it states is not the length of its bytes. */
export function parseBlock(data: Uint8Array): Block | undefined {
  if (data.length < BLOCK_HEADER_BYTES || word(data, 0) !== data.length - BLOCK_HEADER_BYTES) return undefined;
  return { sequence: word(data, 4), bytes: data.subarray(BLOCK_HEADER_BYTES) };
}

/** Whether the request's checksum field is that of the block's bytes; its low byte counts. */
export const checksumMatches = (request: Request, block: Block): boolean =>
  (request.checksum & 0xff) === checksum(block.bytes);

function putHeader(frame: Uint8Array, command: number, length: number, value: number): void {
  frame[1] = command;
  frame[2] = length & 0xff;
  frame[3] = length >>> 8;
  frame.set(wordBytes(value), 4);
}
