/** RFC 2217 as a pure core: what pySerial sends and needs, split at every byte, and anything else at all. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ComPortAction, TelnetComPort } from '../../../emulator/serial/telnet-com-port.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s+/g, ''), 'hex'));
const show = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The actions with neighbouring data and answers joined, as the splitting of the input must not matter. */
function joined(actions: readonly ComPortAction[]): string[] {
  const out: string[] = [];
  for (const action of actions) {
    const text =
      action.do === 'data' || action.do === 'answer' ? `${action.do} ${show(action.bytes)}` : JSON.stringify(action);
    const last = out.at(-1);
    if (last?.startsWith('data ') && action.do === 'data') out[out.length - 1] = last + show(action.bytes);
    else out.push(text);
  }
  return out;
}

const run = (bytes: Uint8Array): string[] => joined(new TelnetComPort().receive(bytes));

/** What pySerial sends when it opens a port: spec chapter 05 §11.6. */
const OPENING = `fffd01 fffb03 fffd03 fffd2c fffb2c
  fffa2c0100002580fff0 fffa2c0208fff0 fffa2c0301fff0 fffa2c0401fff0 fffa2c0501fff0
  fffa2c0508fff0 fffa2c050bfff0 fffa2c0c01fff0 fffa2c0c02fff0 fffa2c010001c200fff0`;

describe('RFC 2217', () => {
  test("pySerial's opening: 44 and 3 are agreed, ECHO is refused, every sub-negotiation is echoed with code + 100", () => {
    expect(run(hex(OPENING))).toEqual([
      'answer fffc01',
      'answer fffd03',
      'answer fffb03',
      'answer fffb2c',
      'answer fffd2c',
      '{"do":"baud","rate":9600}',
      'answer fffa2c6500002580fff0',
      'answer fffa2c6608fff0',
      'answer fffa2c6701fff0',
      'answer fffa2c6801fff0',
      'answer fffa2c6901fff0',
      '{"do":"lines","dtr":true}',
      'answer fffa2c6908fff0',
      '{"do":"lines","rts":true}',
      'answer fffa2c690bfff0',
      '{"do":"purge","output":true,"input":false}',
      'answer fffa2c7001fff0',
      '{"do":"purge","output":false,"input":true}',
      'answer fffa2c7002fff0',
      '{"do":"baud","rate":115200}',
      'answer fffa2c650001c200fff0',
    ]);
  });

  test('invariant: however the bytes are cut, the same actions come out', () => {
    const bytes = hex(`${OPENING} 41ffff42 fffa2c0100070800fff0 c0fff1c0 fffa2c01ffffff00fff0 fffe2c`);
    const whole = run(bytes);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const port = new TelnetComPort();
      const actions = [...port.receive(bytes.subarray(0, cut)), ...port.receive(bytes.subarray(cut))];
      expect(joined(actions), `cut at ${cut}`).toEqual(whole);
    }
    const port = new TelnetComPort();
    expect(joined([...bytes].flatMap((byte) => port.receive(Uint8Array.of(byte))))).toEqual(whole);
  });

  test('invariant: any bytes in any pieces are taken, and cutting changes nothing', () => {
    const telnetish = fc.oneof(
      fc.constantFrom(255, 254, 253, 252, 251, 250, 240, 44, 1, 5, 12),
      fc.integer({ min: 0, max: 255 }),
    );
    fc.assert(
      fc.property(fc.array(fc.array(telnetish, { maxLength: 20 }), { maxLength: 20 }), (pieces) => {
        const port = new TelnetComPort();
        const cut = joined(pieces.flatMap((piece) => port.receive(Uint8Array.from(piece))));
        expect(cut).toEqual(run(Uint8Array.from(pieces.flat())));
      }),
      { numRuns: 500 },
    );
  });

  test('invariant: what the device sends comes out of a client whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        // A server of ours reads what a server of ours wrote: the data rules are the same in both directions.
        const [action] = new TelnetComPort().receive(TelnetComPort.encode(bytes));
        expect(action?.do === 'data' ? show(action.bytes) : '').toBe(show(bytes));
      }),
    );
  });

  test('0xFF in a value is doubled both ways', () => {
    expect(run(hex('fffa2c0100ffff0000fff0'))).toEqual([
      '{"do":"baud","rate":16711680}',
      'answer fffa2c6500ffff0000fff0',
    ]);
  });

  test.each([
    ['baud rate', 'fffa2c0100000000fff0', 'fffa2c6500002580fff0'],
    ['data size', 'fffa2c0200fff0', 'fffa2c6608fff0'],
    ['parity', 'fffa2c0300fff0', 'fffa2c6701fff0'],
    ['stop size', 'fffa2c0400fff0', 'fffa2c6801fff0'],
    ['flow control', 'fffa2c0500fff0', 'fffa2c6901fff0'],
    ['break', 'fffa2c0504fff0', 'fffa2c6906fff0'],
    ['DTR', 'fffa2c0507fff0', 'fffa2c6909fff0'],
    ['RTS', 'fffa2c050afff0', 'fffa2c690cfff0'],
    ['signature', 'fffa2c00fff0', `fffa2c64${Buffer.from('esp8266-ota-emulator').toString('hex')}fff0`],
  ])('a question for the %s is answered with its state', (_, question, answer) => {
    expect(run(hex(question))).toEqual([`answer ${answer}`]);
  });

  test('agreed options are not agreed again, so that two sides never go on for ever; taking one back is answered once', () => {
    expect(run(hex('fffd2c fffd2c fffd2c fffe2c fffe2c fffd2c'))).toEqual([
      'answer fffb2c',
      'answer fffc2c',
      'answer fffb2c',
    ]);
    expect(run(hex('fffe01 fffc01'))).toEqual([]);
  });

  test('a sub-negotiation of a megabyte is dropped, and the next one works', () => {
    const port = new TelnetComPort();
    expect(joined(port.receive(hex('fffa2c01')))).toEqual([]);
    for (let i = 0; i < 256; i++) expect(port.receive(new Uint8Array(4096))).toEqual([]);
    expect(joined(port.receive(hex('fff0 fffa2c0208fff0')))).toEqual(['answer fffa2c6608fff0']);
  });

  test('other options, and codes of a server, mean nothing', () => {
    expect(run(hex('fffa18000000fff0 fffa2c6500002580fff0 fffa2cfff0 fffafff0'))).toEqual([]);
  });
});
