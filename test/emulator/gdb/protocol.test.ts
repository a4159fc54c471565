/** GDB's protocol, without sockets and without GDB: framing, registers, memory, hostile packets. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodePacket, fromHex, type Incoming, PacketDecoder, toHex } from '../../../emulator/gdb/packets.ts';
import { LX106_REGISTERS, REGISTER_NAMES, targetDescription } from '../../../emulator/gdb/registers.ts';
import { type GdbControl, type GdbCpu, GdbSession } from '../../../emulator/gdb/session.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

function decode(...pieces: Uint8Array[]): Incoming[] {
  const seen: Incoming[] = [];
  const decoder = new PacketDecoder((incoming) => seen.push(incoming));
  for (const piece of pieces) decoder.push(piece);
  return seen;
}

describe('framing', () => {
  test('as in the manual', () => {
    expect(text(encodePacket('OK'))).toBe('$OK#9a');
    expect(decode(Buffer.from('+$m0,4#fd\x03-$g#67'))).toEqual([
      { packet: Uint8Array.from(Buffer.from('m0,4')), intact: true },
      'interrupt',
      { packet: Uint8Array.of(0x67), intact: true },
    ]);
    expect(decode(Buffer.from('$g#00'))).toMatchObject([{ intact: false }]);
  });

  test('invariant: whatever payload, cut anywhere, comes out as it went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.nat(80), (payload, cut) => {
        const latin1 = text(Buffer.from(payload, 'latin1'));
        const wire = encodePacket(latin1);
        const got = decode(wire.subarray(0, cut), wire.subarray(cut));
        expect(got.map((one) => (one === 'interrupt' ? one : [text(one.packet), one.intact]))).toEqual([
          [latin1, true],
        ]);
      }),
    );
  });

  test('a packet without end is forgotten', () => {
    const long = Buffer.concat([Buffer.from('$'), Buffer.alloc(100_000, 0x61), Buffer.from('#00$g#67')]);
    expect(decode(long).at(-1)).toEqual({ packet: Uint8Array.of(0x67), intact: true });
  });

  test('hexadecimal digits', () => {
    expect(toHex([1, 255])).toBe('01ff');
    expect([fromHex('01fF'), fromHex('1'), fromHex('zz')]).toEqual([Uint8Array.of(1, 255), undefined, undefined]);
  });
});

function session(cpu = true) {
  const registers = new Map<string, number>();
  const memory = new Uint8Array(64);
  const done: string[] = [];
  const sent: string[] = [];
  const fake: GdbCpu = {
    getRegister: (name) => registers.get(name) ?? 0,
    setRegister: (name, value) => void registers.set(name, value),
    read: (address, length) =>
      address + length <= memory.length ? memory.slice(address, address + length) : undefined,
    write(address, data) {
      if (address + data.length > memory.length) return false;
      memory.set(data, address);
      return true;
    },
    listing: (address, count) => `${address} ${count}\n`,
  };
  const control: GdbControl = {
    cpu: cpu ? fake : undefined,
    setBreakpoint: (address, on) => void done.push(`${on ? 'set' : 'clear'} ${address}`),
    clearBreakpoints: () => void done.push('clear all'),
    step: () => void done.push('step'),
    resume: () => void done.push('resume'),
    interrupt: () => cpu,
  };
  const gdb = new GdbSession(
    control,
    (bytes) => sent.push(text(bytes)),
    () => done.push('close'),
  );
  const say = (payload: string): string[] => {
    sent.length = 0;
    for (const incoming of decode(encodePacket(payload))) gdb.receive(incoming);
    return sent.filter((one) => one !== '+').map((one) => one.slice(1, -3));
  };
  return { gdb, say, done, sent, registers, memory };
}

describe('a conversation', () => {
  test('registers: all, one, in the numbers of debuggers for the LX106', () => {
    const { say, registers } = session();
    registers.set('a1', 0x3fffffe0).set('pc', 0x4010f000).set('ps', 0x20);
    const [all] = say('g');
    expect(all).toHaveLength(8 * REGISTER_NAMES.length);
    expect(all!.slice(8, 16)).toBe('e0ffff3f');
    expect(say('p10')).toEqual(['00f01040']);
    expect(LX106_REGISTERS.indexOf('ps')).toBe(21);
    expect(say('P2=78563412')).toEqual(['OK']);
    expect(registers.get('a2')).toBe(0x12345678);
    expect(say(`G${'01000000'.repeat(3)}`)).toEqual(['OK']);
    expect(registers.get('a1')).toBe(1);
    for (const wrong of ['pff', 'P2=12', 'Pff=00000000', 'G123']) expect(say(wrong)).toEqual(['E01']);
  });

  test('memory', () => {
    const { say, memory } = session();
    expect(say('M4,2:0aff')).toEqual(['OK']);
    expect(say('X6,1:\x7d')).toEqual(['OK']);
    expect([...memory.subarray(4, 7)]).toEqual([10, 255, 0x7d]);
    expect(say('m4,3')).toEqual(['0aff7d']);
    expect(say('m3f,2')).toEqual(['E14']);
    expect(say('M3f,2:0000')).toEqual(['E14']);
    for (const wrong of ['m', 'm0,fffff', 'M0,2:00', 'M0']) expect(say(wrong)).toEqual(['E01']);
  });

  test('going on, stopping, breakpoints', () => {
    const { say, done, gdb, sent } = session();
    expect(say('Z0,4010f000,2')).toEqual(['OK']);
    expect(say('z0,4010f000,2')).toEqual(['OK']);
    expect(say('Z2,3ffe8000,4')).toEqual(['']);
    expect(say('c')).toEqual([]);
    gdb.halted('breakpoint');
    gdb.halted('breakpoint');
    expect(sent.filter((one) => one !== '+')).toEqual(['$T05swbreak:;#1d']);
    expect(say('vCont;s:1')).toEqual([]);
    gdb.receive('interrupt');
    gdb.halted('interrupt');
    expect(sent.at(-1)).toBe('$T02#b6');
    expect(say('D')).toEqual(['OK']);
    expect(done).toEqual(['set 1074851840', 'clear 1074851840', 'resume', 'step', 'clear all', 'resume']);
    expect(say('g')).toEqual([]);
  });

  test('questions', () => {
    const { say } = session();
    expect(say('?')).toEqual(['S05']);
    expect(say('qSupported:xmlRegisters=i386')[0]).toContain('qXfer:features:read+');
    const description = targetDescription();
    expect(say('qXfer:features:read:target.xml:0,20')).toEqual([`m${description.slice(0, 32)}`]);
    expect(say(`qXfer:features:read:target.xml:${(description.length - 3).toString(16)},20`)).toEqual([
      `l${description.slice(-3)}`,
    ]);
    expect(say(`qRcmd,${toHex(Buffer.from('dis 0x10 3'))}`)).toEqual([toHex(Buffer.from('16 3\n'))]);
    expect(say('!')).toEqual(['']);
    const without = session(false);
    expect(without.say('g')[0]).toMatch(/^0+$/);
    expect(without.say('m0,4')).toEqual(['E01']);
    without.say('c');
    without.gdb.receive('interrupt');
    expect(without.sent.at(-1)).toContain('W00');
  });

  test('a damaged packet is asked for again', () => {
    const { gdb, sent } = session();
    gdb.receive({ packet: Uint8Array.of(0x67), intact: false });
    expect(sent).toEqual(['-']);
  });

  test('invariant: no packet makes it throw', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.constantFrom(...'gGpPmMXZzscvqQHTDk?'), fc.string({ unit: 'binary-ascii', maxLength: 20 })),
        ),
        (packets) => {
          const { say } = session();
          for (const [kind, rest] of packets) say(kind + rest);
        },
      ),
    );
  });
});
