/**
 * The recorded exchanges of the web update server, on the simulated network in virtual time: bytes, closes, serial lines and
 * flash as the real code produced them. The form page was recorded by length and hash only; ours stands in its place.
 */
import { describe, expect, test } from 'vitest';
import { flashOf, play, recorded, serialLines } from '../support/http-transcript.ts';
import { type Transcript, transcripts } from '../support/transcript.ts';

/** The recording host's noise; delays of 100 ms and more come from the code. */
const TOLERANCE_MS = 40;

const all = transcripts('http-').filter(({ group }) => group === 'http-server');

async function check(transcript: Transcript): Promise<void> {
  const { bench, sent, endings } = await play(transcript);
  const wanted = recorded(transcript);
  expect(sent).toEqual(wanted.sent);
  expect(endings.map(({ ch, how }) => [ch, how])).toEqual(wanted.endings.map(({ ch, how }) => [ch, how]));
  for (const [index, { gapMs }] of endings.entries()) {
    expect(Math.abs(gapMs - wanted.endings[index]!.gapMs), `${gapMs} ms until end ${index}`).toBeLessThan(TOLERANCE_MS);
  }
  expect(serialLines(bench)).toEqual(transcript.serial.map(({ line }) => line));
  expect(flashOf(bench)).toEqual(transcript.flash);
  if (!transcript.flash.restart) expect(bench.held).toBe(0);
}

describe('invariant: the device answers as the Arduino core did when it was recorded', () => {
  test('all of the recordings are there', () => expect(all).toHaveLength(49));

  test.each(all.map((transcript) => [transcript.name, transcript] as const))('%s', async (_name, transcript) => {
    await check(transcript);
  });
});

describe('invariant: a recording that tells something else is refused', () => {
  /** The recording with each text replaced in its JSON. */
  function altered(name: string, from: string, to: string): Transcript {
    const json = JSON.stringify(all.find((transcript) => transcript.name === name));
    expect(json).toContain(from);
    return JSON.parse(json.replace(from, to)) as Transcript;
  }

  test.each([
    ['another header', 'http-404-root', 'Keep-Alive: timeout=2000', 'Keep-Alive: timeout=2001'],
    [
      'another order',
      'http-options-nope',
      'HTTP/1.1 404 Not Found\\\\r\\\\nContent',
      'HTTP/1.1 404 Not found\\\\r\\\\nContent',
    ],
    ['a FIN that was a RST', 'http-get-update', 'closed connection (FIN)', 'reset connection (RST)'],
    ['a close at another time', 'http-404-root', '"t_ms":2002.6', '"t_ms":2502.6'],
    ['another serial line', 'http-post-wrong-magic', '"...ERROR[10]', '"....ERROR[10]'],
    ['another eboot command', 'http-post-ok', '"args":[307200', '"args":[303104'],
    ['another count of erases', 'http-post-two-files', '"erase_ops":2', '"erase_ops":3'],
    ['no restart', 'http-auth-post-ok', '"restart":true', '"restart":false'],
  ])('%s', async (_what, name, from, to) => {
    await expect(check(altered(name, from, to))).rejects.toThrow();
  });
});
