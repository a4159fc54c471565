/** Every recorded ArduinoOTA exchange, in virtual time. Source: spec chapter 03 §16. */
import { describe, expect, test } from 'vitest';
import { playOtaTranscript } from '../support/ota-transcript.ts';
import { imagesOf, type Transcript, transcripts } from '../support/transcript.ts';

const recorded = transcripts('ota-');

describe('invariant: the device answers as the Arduino core did when it was recorded', () => {
  test('all 29 recordings are here, and their images are what their hashes say', () => {
    expect(recorded).toHaveLength(29);
    for (const transcript of recorded) imagesOf(transcript);
  });

  test.each(recorded.map((transcript) => [transcript.name, transcript] as const))('%s', async (_name, transcript) => {
    await playOtaTranscript(transcript);
  });
});

describe('invariant: a recording that tells something else is refused', () => {
  /** The recording with each text replaced in its JSON. */
  function altered(name: string, from: string, to: string): Transcript {
    const json = JSON.stringify(recorded.find((transcript) => transcript.name === name));
    expect(json).toContain(from);
    return JSON.parse(json.replace(from, to)) as Transcript;
  }

  test.each([
    ['another datagram', 'ota-too-large', 'ERROR[4]: Not Enough', 'ERROR[4]: Not enough'],
    ['another acknowledgement', 'ota-ok-1460-lockstep', '"len":3,"bytes":"620"', '"len":3,"bytes":"621"'],
    ['another sum of acknowledgements', 'ota-more-than-announced', '"bytes":"5000"', '"bytes":"5001"'],
    ['another result', 'ota-wrong-magic', 'not 0xE9', 'not 0xE8'],
    ['another callback', 'ota-auth-wrong', 'Error[0]', 'Error[1]'],
    ['another count of erases', 'ota-fs-ok', '"erase_ops":3', '"erase_ops":4'],
    ['another eboot command', 'ota-auth-ok', '"args":[2088960', '"args":[2084864'],
    ['a silence that is none', 'ota-size-zero', '"device>peer","len":30', '"silence","waited_ms":50,"len":30'],
    ['a FIN that was a RST', 'ota-wrong-md5', 'closed connection (FIN)', 'reset connection (RST)'],
    ['a longer pause before OK', 'ota-md5-uppercase', '"t_ms":1124.6', '"t_ms":1224.6'],
    ['an unknown event', 'ota-close-early-rst', 'peer resets', 'peer vanishes'],
  ])('%s', async (_what, name, from, to) => {
    await expect(playOtaTranscript(altered(name, from, to))).rejects.toThrow();
  });
});
