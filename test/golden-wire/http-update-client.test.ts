/** Every recorded exchange of the device with an update server, in virtual time. Source: spec chapter 04 §28. */
import { describe, expect, test } from 'vitest';
import { playHttpUpdateTranscript } from '../support/http-update-transcript.ts';
import { imagesOf, type Transcript, transcripts } from '../support/transcript.ts';

const recorded = transcripts('hu-');

describe('invariant: the device asks and takes updates as the Arduino core did when it was recorded', () => {
  test('all 34 recordings are here, and their images are what their hashes say', () => {
    expect(recorded).toHaveLength(34);
    for (const transcript of recorded) imagesOf(transcript);
  });

  test.each(recorded.map((transcript) => [transcript.name, transcript] as const))('%s', async (_name, transcript) => {
    await playHttpUpdateTranscript(transcript);
  });
});

describe('invariant: a recording that tells something else is refused', () => {
  function altered(name: string, from: string, to: string): Transcript {
    const json = JSON.stringify(recorded.find((transcript) => transcript.name === name));
    expect(json).toContain(from);
    return JSON.parse(json.replace(from, to)) as Transcript;
  }

  test.each([
    ['another request line', 'hu-200-good', 'GET /fw.bin HTTP/1.0', 'GET /fw.bin HTTP/1.1'],
    ['another header', 'hu-200-good', 'free-space: 1794048', 'free-space: 1794049'],
    ['another order of headers', 'hu-200-good', 'STA-MAC', 'SAT-MAC'],
    ['another error', 'hu-404', 'error -102', 'error -103'],
    ['another text', 'hu-404', 'File Not Found', 'File not found'],
    ['another progress', 'hu-fs-good', 'progress 8192/9000', 'progress 8191/9000'],
    ['another eboot command', 'hu-200-good', '"args":[2088960', '"args":[2084864'],
    ['no restart', 'hu-200-good', '"restart":true', '"restart":false'],
    ['a RST that was a FIN', 'hu-404', 'closed connection (FIN)', 'reset connection (RST)'],
    ['a FIN that was a RST', 'hu-http2-status', 'reset connection (RST)', 'closed connection (FIN)'],
    ['a longer pause before the first byte', 'hu-200-good', '"t_ms":0.8', '"t_ms":-200'],
    ['another server', 'hu-refused', 'error -1', 'error -4'],
    ['an unknown event', 'hu-200-body-with-close', 'peer closes', 'peer vanishes'],
  ])('%s', async (_what, name, from, to) => {
    await expect(playHttpUpdateTranscript(altered(name, from, to))).rejects.toThrow();
  });
});
