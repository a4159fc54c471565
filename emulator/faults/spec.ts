/**
 * Faults as text and as objects. Grammar (contract, design.md §8), entries joined by `+` in time order:
 *
 *     SPEC = KIND "@" ( PHASE ":" OP | ADDRESS ) [ ":" POINT [ ":" FRACTION ] ]
 */

export const POWER_KINDS = ['power-cut', 'reset', 'brown-out'] as const;
export const CHIP_KINDS = [
  'erase-fail',
  'program-fail',
  'read-fail',
  'write-drop',
  'stuck-bits',
  'worn-sector',
] as const;
export const NET_KINDS = [
  'net-loss',
  'net-delay',
  'net-reorder',
  'net-stall',
  'net-close',
  'net-reset',
  'net-refuse',
] as const;
export const PHASES = ['staging', 'fs', 'command', 'copy', 'clear', 'serial', 'app', 'any'] as const;
export const NET_PHASES = ['udp', 'tcp', 'http'] as const;
export const POINTS = ['before', 'inside', 'after'] as const;

/** As many as nine digits say. */
const MAX_OP = 999_999_999;
/** 24 address bits. */
const MAX_ADDRESS = 0xff_ffff;

export type PowerKind = (typeof POWER_KINDS)[number];
export type ChipKind = (typeof CHIP_KINDS)[number];
export type NetKind = (typeof NET_KINDS)[number];
export type FaultKind = PowerKind | ChipKind | NetKind;
export type Phase = (typeof PHASES)[number];
export type NetPhase = (typeof NET_PHASES)[number];
export type Point = (typeof POINTS)[number];

export interface FaultAt {
  readonly phase?: Phase | NetPhase;
  /** Counts from 0, from the phase's first start after arming; for `net-*` the byte received. */
  readonly op?: number;
  /** The next operation on the sector of this address, instead of phase and op. */
  readonly address?: number;
  readonly point?: Point;
  /** 0 … 1, only with `inside`: how much of the operation happens; without it the seed chooses. */
  readonly fraction?: number;
}

export interface Fault {
  readonly kind: FaultKind;
  readonly at: FaultAt;
}

/** A fault that cannot be: says which part, and what would do. */
export class FaultSpecError extends Error {
  override readonly name = 'FaultSpecError';
}

const includes = <T extends string>(list: readonly T[], text: string): text is T =>
  (list as readonly string[]).includes(text);

const isPowerKind = (kind: FaultKind): kind is PowerKind => includes(POWER_KINDS, kind);
export const isNetKind = (kind: FaultKind): kind is NetKind => includes(NET_KINDS, kind);

/** Parses a whole list, e.g. `reset@copy:17+power-cut@copy:3:inside:0.5`. @throws FaultSpecError */
export function parseFaults(text: string): Fault[] {
  return text.split('+').map((entry) => parseFault(entry.trim()));
}

/** Parses one entry. @throws FaultSpecError */
export function parseFault(text: string): Fault {
  const fail = (why: string): never => {
    throw new FaultSpecError(`fault "${text}": ${why}`);
  };
  const at = text.indexOf('@');
  if (at < 0) fail('wants KIND@PHASE:OP or KIND@0xADDRESS, e.g. power-cut@copy:17:inside');
  const kind = text.slice(0, at);
  const kinds = [...POWER_KINDS, ...CHIP_KINDS, ...NET_KINDS];
  if (!includes(kinds, kind)) return fail(`"${kind}" is no kind of fault; the kinds are ${kinds.join(', ')}`);
  const fields = text.slice(at + 1).split(':');
  const where = fields.shift() ?? '';
  const place: { phase?: Phase | NetPhase; op?: number; address?: number; point?: Point; fraction?: number } = {};
  if (/^0x[0-9a-f]+$/i.test(where)) {
    place.address = Number.parseInt(where, 16);
  } else {
    const phases: readonly string[] = isNetKind(kind) ? NET_PHASES : PHASES;
    if (!phases.includes(where))
      return fail(`"${where}" is no phase of ${kind}; use ${phases.join(', ')} or an address 0x…`);
    place.phase = where as Phase | NetPhase;
    const op = fields.shift();
    if (op === undefined || !/^\d{1,9}$/.test(op))
      return fail(`after "${where}:" stands which operation, counted from 0`);
    place.op = Number(op);
  }
  const point = fields.shift();
  if (point !== undefined) {
    if (!includes(POINTS, point)) return fail(`"${point}" is no point; use ${POINTS.join(', ')}`);
    place.point = point;
  }
  const fraction = fields.shift();
  if (fraction !== undefined) {
    if (!/^(0(\.\d+)?|1(\.0+)?|\.\d+)$/.test(fraction)) return fail(`"${fraction}" is no fraction between 0 and 1`);
    place.fraction = Number(fraction);
  }
  if (fields.length > 0) return fail(`"${fields.join(':')}" is too much`);
  return checkFault({ kind, at: place }, text);
}

/** Checks what the grammar alone cannot say. @throws FaultSpecError */
export function checkFault(fault: Fault, text?: string): Fault {
  if (typeof fault !== 'object' || fault === null || typeof fault.at !== 'object' || fault.at === null) {
    throw new FaultSpecError('a fault is { kind, at: { phase, op } } or { kind, at: { address } }, or text');
  }
  const fail = (why: string): never => {
    throw new FaultSpecError(`fault "${text ?? shown(fault)}": ${why}`);
  };
  const { kind, at } = fault;
  // Objects come from programs and from the network: nothing about them is certain.
  if (![...POWER_KINDS, ...CHIP_KINDS, ...NET_KINDS].includes(kind)) fail('there is no such kind of fault');
  const phases: readonly string[] = isNetKind(kind) ? NET_PHASES : PHASES;
  if (at.phase !== undefined && !phases.includes(at.phase)) fail(`the phases of ${kind} are ${phases.join(', ')}`);
  for (const [name, value, most] of [
    ['op', at.op, MAX_OP],
    ['address', at.address, MAX_ADDRESS],
  ] as const) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 0 && value <= most)) {
      fail(`${name} is a whole number from 0 to ${most}`);
    }
  }
  if (at.point !== undefined && !includes(POINTS, at.point)) fail(`the points are ${POINTS.join(', ')}`);
  if ((at.address === undefined) === (at.phase === undefined || at.op === undefined)) {
    fail('wants either a phase with an operation, or an address');
  }
  if (at.fraction !== undefined && at.point !== 'inside') fail('a fraction goes with the point "inside" only');
  if (at.fraction !== undefined && !(at.fraction >= 0 && at.fraction <= 1)) fail('the fraction lies between 0 and 1');
  if (kind === 'reset' && at.point === 'inside') fail('a reset has no inside: the operation in flight completes');
  if (kind === 'brown-out' && at.point === 'inside') fail('a brown-out is a reset and has no inside');
  if (!isPowerKind(kind) && at.point !== undefined && at.point !== 'before') fail(`${kind} has no point`);
  if (!isPowerKind(kind) && (at.phase === 'command' || at.phase === 'clear')) {
    fail(`${kind} concerns the flash chip; the phase ${at.phase} writes RTC memory`);
  }
  if (at.address !== undefined && isNetKind(kind)) fail('a network fault has no flash address');
  if (at.phase === 'udp' && (kind === 'net-close' || kind === 'net-reset' || kind === 'net-refuse')) {
    fail(`there is no connection in UDP that ${kind} could end; use tcp or http, or net-loss, net-stall for udp`);
  }
  return fault;
}

/** The text of a fault; parses back to the same fault. */
export function formatFault({ kind, at }: Fault): string {
  const where = at.address === undefined ? `${at.phase}:${at.op}` : `0x${at.address.toString(16)}`;
  const point = at.point === undefined ? '' : `:${at.point}`;
  const fraction = at.fraction === undefined ? '' : `:${decimal(at.fraction)}`;
  return `${kind}@${where}${point}${fraction}`;
}

/** Without an exponent. */
const decimal = (value: number): string =>
  String(value).includes('e') ? value.toFixed(20).replace(/\.?0+$/, '') : String(value);

/** Of an object that may be anything. */
function shown(fault: Fault): string {
  try {
    return formatFault(fault);
  } catch {
    return String(fault.kind); // no device takes part here: this can be no Interruption
  }
}
