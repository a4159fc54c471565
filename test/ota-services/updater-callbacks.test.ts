/** Callbacks, LED, async mode, debug output and events. Source: spec chapter 02 §4, §9. */
import { describe, expect, test } from 'vitest';
import { PowerLost } from '../../flash/ports.ts';
import { TimedStream } from '../../ota-services/stream.ts';
import { U_FS } from '../../ota-services/updater.ts';
import {
  failReadsAt,
  faultAt,
  MIB,
  makeRig,
  md5Hex,
  type Rig,
  type RigOptions,
  rsaVerifier,
  ScriptedSource,
  sha256Hex,
  signedFile,
  sketchBytes,
  takeLog,
} from '../support/updater.ts';

const image = sketchBytes(10000);

const streamOf = (rig: Rig, ...pieces: Uint8Array[]): TimedStream =>
  new TimedStream(
    new ScriptedSource(
      rig.clock,
      pieces.map((bytes) => ({ bytes })),
    ),
    rig.clock,
  );

/** A rig in which `size` bytes were announced and `bytes` written. */
async function begun(size: number, bytes?: Uint8Array, options?: RigOptions): Promise<Rig> {
  const rig = makeRig(options);
  await rig.update.begin(size);
  if (bytes) await rig.update.write(bytes);
  takeLog(rig);
  return rig;
}

interface Sequence {
  what: string;
  make: () => Promise<Rig> | Rig;
  act: (rig: Rig) => Promise<unknown>;
  log: string;
  /** What the object shows while onError runs: progress and size. */
  atError?: [number, number][];
}

const sequences: Sequence[] = [
  { what: 'begin ok', make: () => makeRig(), act: (rig) => rig.update.begin(1000), log: 'E S' },
  {
    what: 'begin while running',
    make: () => begun(10000, image.subarray(0, 5000)),
    act: (rig) => rig.update.begin(1000),
    log: 'X(15) E',
    atError: [[4096, 10000]],
  },
  {
    what: 'begin fails with 11',
    make: () => {
      const rig = makeRig();
      rig.system.straps = 1;
      return rig;
    },
    act: (rig) => rig.update.begin(1),
    log: 'X(11) E',
    atError: [[0, 0]],
  },
  {
    what: 'begin fails with 5',
    make: () => makeRig(),
    act: (rig) => rig.update.begin(0),
    log: 'X(5) E',
    atError: [[0, 0]],
  },
  {
    what: 'begin fails with 8',
    make: () => makeRig({ chip: MIB, nibble: 4 }),
    act: (rig) => rig.update.begin(1),
    log: 'X(8) E',
    atError: [[0, 0]],
  },
  {
    what: 'begin fails with 4',
    make: () => makeRig(),
    act: (rig) => rig.update.begin(2 * MIB),
    log: 'E X(4) E',
    atError: [[0, 0]],
  },
  {
    what: 'begin fails with 16',
    make: () => makeRig(),
    act: (rig) => rig.update.begin(1, 1),
    log: 'E X(16) E',
    atError: [[0, 0]],
  },
  {
    what: 'begin fails with 14',
    make: () => {
      const rig = makeRig();
      rig.system.failAllocationsFrom = 4096;
      return rig;
    },
    act: (rig) => rig.update.begin(1000),
    log: 'E X(14) E',
    atError: [[0, 1000]],
  },
  {
    what: 'write of too much',
    make: () => begun(10000, image.subarray(0, 5000)),
    act: (rig) => rig.update.write(image),
    log: 'X(4) E',
    atError: [[4096, 10000]],
  },
  {
    what: 'an erase fails in write',
    make: () => begun(10000, undefined, { faults: faultAt('erase', 1) }),
    act: (rig) => rig.update.write(image),
    log: 'X(2) E',
    atError: [[10000, 10000]],
  },
  {
    what: 'a program fails in writeFrom',
    make: () => begun(10000, undefined, { faults: faultAt('program', 20) }),
    act: (rig) => rig.update.writeFrom(new ScriptedSource(rig.clock, [{ bytes: image }])),
    log: 'X(1) E',
    atError: [[10000, 10000]],
  },
  {
    what: 'a program fails in writeStream',
    make: () => begun(10000, undefined, { faults: faultAt('program', 20) }),
    act: (rig) => rig.update.writeStream(streamOf(rig, image)),
    log: 'P(0,10000) P(4096,10000) X(1) E',
    atError: [[10000, 10000]],
  },
  {
    what: 'writeStream with a bad first byte',
    make: () => begun(10000),
    act: (rig) => rig.update.writeStream(streamOf(rig, Uint8Array.of(0xea))),
    log: 'X(10) E E',
    atError: [[10000, 10000]],
  },
  {
    what: 'writeStream',
    make: () => begun(10000),
    act: (rig) => rig.update.writeStream(streamOf(rig, image)),
    log: 'P(0,10000) P(4096,10000) P(8192,10000) P(10000,10000) P(10000,10000)',
  },
  {
    what: 'writeStream times out',
    make: () => begun(10000),
    act: (rig) => rig.update.writeStream(streamOf(rig, image.subarray(0, 5000)), 0),
    log: 'P(0,10000) P(4096,10000) P(4096,10000) X(6) E E',
    atError: [[10000, 10000]],
  },
  { what: 'end while idle', make: () => makeRig(), act: (rig) => rig.update.end(), log: 'E' },
  {
    what: 'premature end',
    make: () => begun(10000, image.subarray(0, 5000)),
    act: (rig) => rig.update.end(),
    log: 'E',
  },
  {
    what: 'end with nothing flushed',
    make: () => begun(10000, image.subarray(0, 4096)),
    act: (rig) => rig.update.end(),
    log: 'X(13) E E',
    atError: [[0, 10000]],
  },
  {
    what: 'MD5 mismatch',
    make: () => begun(10000, image),
    act: (rig) => {
      rig.update.setMD5('-'.repeat(32));
      return rig.update.end();
    },
    log: 'X(7) E',
    atError: [[10000, 10000]],
  },
  {
    what: 'signature failure',
    make: () => begun(10000, image),
    act: (rig) => {
      rig.update.installSignature(rsaVerifier());
      return rig.update.end();
    },
    log: 'X(12) E E',
    atError: [[10000, 10000]],
  },
  {
    what: 'no memory for the signature',
    make: () => begun(10260, signedFile(image)),
    act: (rig) => {
      rig.update.installSignature(rsaVerifier());
      rig.system.failAllocationsFrom = 256;
      return rig.update.end();
    },
    log: 'X(14) E E',
    atError: [[10260, 10260]],
  },
  {
    what: 'the staged header cannot be read',
    make: () => begun(10000, image),
    act: (rig) => {
      rig.chip.faults = failReadsAt(0x1fd000);
      return rig.update.end();
    },
    log: 'X(3) E E',
    atError: [[0, 10000]],
  },
  {
    what: 'too large a flash in the header',
    make: () => begun(10000, sketchBytes(10000, { nibble: 9 })),
    act: (rig) => rig.update.end(),
    log: 'X(9) E E',
    atError: [[0, 10000]],
  },
  {
    what: 'no magic in the header',
    make: () => begun(10000, sketchBytes(10000, { magic: 0xea })),
    act: (rig) => rig.update.end(),
    log: 'X(10) E E',
    atError: [[0, 10000]],
  },
  { what: 'end', make: () => begun(10000, image), act: (rig) => rig.update.end(), log: 'E' },
];

describe('callback sequences', () => {
  test.each(sequences)('$what: $log', async ({ make, act, log, atError = [] }) => {
    const rig = await make();
    const seen: [number, number][] = [];
    let idleAtEnd = true;
    rig.update
      .onError((code) => {
        rig.log.push(`X(${code})`);
        seen.push([rig.update.progress(), rig.update.size()]);
      })
      .onEnd(() => {
        rig.log.push('E');
        idleAtEnd &&= !rig.update.isRunning() && rig.update.size() === 0 && rig.system.held === 0;
      });
    await act(rig);
    expect(takeLog(rig)).toBe(log);
    expect(seen).toEqual(atError);
    expect(idleAtEnd).toBe(true);
  });

  test('a whole stream update is E S P… E', async () => {
    const rig = makeRig();
    await rig.update.begin(5000);
    await rig.update.writeStream(streamOf(rig, sketchBytes(5000)));
    await rig.update.end();
    expect(takeLog(rig)).toBe('E S P(0,5000) P(4096,5000) P(5000,5000) P(5000,5000) E');
  });

  test('a setter replaces, an empty one disables, both chain', async () => {
    const rig = makeRig();
    const { update } = rig;
    const again = update
      .onEnd()
      .onError()
      .onProgress()
      .onStart(() => void rig.log.push('new'));
    expect(again).toBe(update);
    await update.begin(5000);
    await update.begin(5000);
    expect(takeLog(rig)).toBe('new');
  });

  test('an async callback is waited for', async () => {
    const rig = makeRig();
    let done = false;
    rig.update.onStart(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      done = true;
    });
    await rig.update.begin(5000);
    expect(done).toBe(true);
  });

  test('short reads of a stream repeat the progress', async () => {
    const rig = await begun(5000);
    const bytes = sketchBytes(5000);
    const stream = streamOf(rig, bytes);
    const short = {
      available: () => stream.available(),
      peek: () => stream.peek(),
      readBytes: (length: number) => stream.readBytes(Math.min(length, 1500)),
    };
    expect(await rig.update.writeStream(short)).toBe(5000);
    const expected = [0, 0, 0, 4096, 5000, 5000].map((done) => `P(${done},5000)`);
    expect(takeLog(rig)).toBe(expected.join(' '));
  });

  test('the time-out is 16 bits wide', async () => {
    const rig = await begun(5000);
    const start = rig.clock.millis();
    await rig.update.writeStream(streamOf(rig, sketchBytes(100)), 0x10000 + 500);
    expect(rig.clock.millis() - start).toBe(2000); // the partial read, and one empty read
  });

  test('recorded: 2000 of 5000 bytes, stream timeout 1 s: progress at 1.0 s and every 1.1 s, error 6 after 61.4 s', async () => {
    const rig = await begun(5000);
    const at: number[] = [];
    const start = rig.clock.millis();
    rig.update.onProgress(() => void at.push(rig.clock.millis() - start));
    expect(await rig.update.writeStream(streamOf(rig, sketchBytes(2000)))).toBe(2000);
    expect(at.slice(0, 4)).toEqual([0, 1000, 2100, 3200]);
    expect(rig.clock.millis() - start).toBe(61_400); // the recording says 61.6 s, host noise of 54 rounds included
  });
});

describe('LED', () => {
  test('begin and end write the off level; write never touches it', async () => {
    const rig = makeRig();
    await rig.update.begin(10000, 0, 5, 1);
    await rig.update.write(image);
    await rig.update.end();
    expect(rig.system.log).toEqual(['5=0', '5=0']);
  });

  test('a begin that fails early uses the new pin already; one that fails with 15 the old', async () => {
    const rig = makeRig();
    await rig.update.begin(10000, 0, 5, 1);
    await rig.update.begin(10000, 0, 4, 0);
    expect(rig.system.log).toEqual(['5=0', '5=0']);
    await rig.update.begin(0, 0, 4, 7);
    expect(rig.system.log.at(-1)).toBe('4=0'); // any level but 0 is 1, so off is 0
    await rig.update.begin(0, 0, 4, 0);
    expect(rig.system.log.at(-1)).toBe('4=1');
  });

  test('any level but 0 counts as 1', async () => {
    const rig = makeRig();
    await rig.update.begin(5000, 0, 4, 7);
    await rig.update.writeStream(streamOf(rig, sketchBytes(5000)));
    expect(rig.system.log).toEqual(['4=0', 'mode 4 output', '4=1', '4=0', '4=1', '4=0']);
  });

  test('onEnd comes before the LED goes off', async () => {
    const rig = makeRig();
    await rig.update.begin(5000, 0, 4, 1);
    rig.update.onEnd(() => void rig.system.log.push('E'));
    await rig.update.end();
    expect(rig.system.log.slice(-4)).toEqual(['E', '4=0', 'E', '4=0']);
  });

  test('no pin, no writes', async () => {
    const rig = await begun(5000);
    await rig.update.writeStream(streamOf(rig, sketchBytes(5000)));
    await rig.update.end();
    expect(rig.system.log).toEqual([]);
  });

  test('a time-out leaves it off', async () => {
    const rig = makeRig();
    await rig.update.begin(5000, 0, 2, 0);
    await rig.update.writeStream(streamOf(rig, image.subarray(0, 100)), 0);
    expect(rig.system.log.slice(-2)).toEqual(['2=1', '2=1']);
  });
});

describe('runAsync', () => {
  const yieldsOf = async (isAsync: boolean, act: (rig: Rig) => Promise<unknown>): Promise<number> => {
    const rig = makeRig();
    rig.update.runAsync(isAsync);
    await rig.update.begin(10000);
    await act(rig);
    return rig.clock.yields;
  };

  test('write yields before each erase, each program and after each full buffer; never when async', async () => {
    const write = (rig: Rig): Promise<unknown> => rig.update.write(image);
    expect(await yieldsOf(false, write)).toBe(3 * 2 + 2);
    expect(await yieldsOf(true, write)).toBe(0);
  });

  test('writeStream goes on yielding once a round', async () => {
    const stream = (rig: Rig): Promise<unknown> => rig.update.writeStream(streamOf(rig, image));
    expect(await yieldsOf(false, stream)).toBe(3 * 2 + 3);
    expect(await yieldsOf(true, stream)).toBe(3);
  });

  test('writeFrom sleeps a millisecond between rounds', async () => {
    const rig = makeRig();
    rig.update.runAsync(true);
    await rig.update.begin(10000);
    expect(await rig.update.writeFrom(new ScriptedSource(rig.clock, [{ bytes: image }]))).toBe(10000);
    expect([rig.clock.yields, rig.clock.delays]).toEqual([0, [1, 1]]);
  });
});

describe('debug output', () => {
  test('of a whole sketch update, patched', async () => {
    const debug: string[] = [];
    const rig = makeRig({ debug });
    const other = sketchBytes(10000, { mode: 0 });
    await rig.update.begin(10000);
    rig.update.setMD5(md5Hex(other).toUpperCase());
    await rig.update.write(other);
    await rig.update.end();
    expect(debug).toEqual([
      '[begin] roundedSize:       0x00003000 (12288)\n',
      '[begin] updateEndAddress:  0x00200000 (2097152)\n',
      '[begin] currentSketchSize: 0x00055000 (348160)\n',
      '[begin] _startAddress:     0x001FD000 (2084864)\n',
      '[begin] _currentAddress:   0x001FD000 (2084864)\n',
      '[begin] _size:             0x00002710 (10000)\n',
      'Header: 0xE9 1 0 40\n',
      'Set flash mode from 0x0 to 0x2\n',
      `[Updater] MD5 Success: ${md5Hex(other).toUpperCase()}\n`,
      'Staged: address:0x001FD000, size:0x00002710\n',
    ]);
  });

  test('of a file system, of errors, of premature ends', async () => {
    const debug: string[] = [];
    const rig = makeRig({ debug });
    await rig.update.end();
    await rig.update.begin(1, 7);
    await rig.update.begin(8192, U_FS);
    await rig.update.write(image.subarray(0, 5000));
    await rig.update.end();
    await rig.update.begin(4096, U_FS);
    await rig.update.begin(4096, U_FS);
    await rig.update.begin(4096, U_FS);
    await rig.update.end();
    await rig.update.begin(4096, U_FS);
    await rig.update.write(image.subarray(0, 4096));
    await rig.update.end();
    const beginFs = (size: string): string[] => [
      '[begin] Update Filesystem.\n',
      '[begin] _startAddress:     0x00200000 (2097152)\n',
      '[begin] _currentAddress:   0x00200000 (2097152)\n',
      `[begin] _size:             ${size}\n`,
    ];
    expect(debug).toEqual([
      'no update\n',
      '[begin] Unknown update command.\n',
      'ERROR[16]: Unknown update command\n',
      ...beginFs('0x00002000 (8192)'),
      'premature end: res:0, pos:4096/8192\n',
      ...beginFs('0x00001000 (4096)'),
      '[begin] already running\n',
      'ERROR[15]: Update already running\n',
      ...beginFs('0x00001000 (4096)'),
      'ERROR[13]: No data supplied\n',
      'premature end: res:13, pos:0/0\n',
      ...beginFs('0x00001000 (4096)'),
      'Filesystem: address:0x00200000, size:0x00001000\n',
    ]);
  });

  test('sizes above 2^31 print as negative numbers', async () => {
    const debug: string[] = [];
    const rig = makeRig({ debug });
    await rig.update.begin(0xffffffff);
    expect(debug.at(-1)).toBe('[begin] _size:             0xFFFFFFFF (-1)\n');
  });

  test('of a signature', async () => {
    const debug: string[] = [];
    const rig = makeRig({ debug });
    rig.update.installSignature(rsaVerifier());
    const file = signedFile(image);
    await rig.update.begin(file.length);
    await rig.update.write(file);
    debug.length = 0;
    expect(await rig.update.end()).toBe(true);
    expect(debug.map((line) => line.slice(0, line.indexOf(':') + 4))).toEqual([
      '[Updater] expected sigLen: 25',
      '[Updater] sigLen from flash: 25',
      '[Updater] Adjusted size (without the signature and sigLen): 10',
      expect.stringMatching(/^\[Updater\] Computed Hash: [0-9a-f]{2}/),
      expect.stringMatching(/^\[Updater\] Received Signature: [0-9a-f]{2}/),
      expect.stringContaining('[Up'),
      'Staged: ad',
    ]);
    expect(debug[5]).toBe('[Updater] Signature matches\n');
    expect(debug[3]).toMatch(/^\[Updater\] Computed Hash: ([0-9a-f]{2} ){31}[0-9a-f]{2}\n$/);
  });

  test('the error line comes between onError and onEnd', async () => {
    const rig = makeRig();
    const debug: string[] = rig.log;
    const loud = makeRig({ debug });
    loud.update.onError(() => void debug.push('X')).onEnd(() => void debug.push('E'));
    await loud.update.begin(0);
    expect(debug).toEqual(['X', 'ERROR[5]: Bad Size Given\n', 'E']);
  });
});

describe('events', () => {
  test('one begin, one progress per flush, one end', async () => {
    const rig = await begun(10000);
    rig.update.setMD5(md5Hex(image));
    await rig.update.write(image);
    await rig.update.end();
    expect(rig.events).toEqual([
      { type: 'update.begin', command: 'sketch', address: 0x1fd000, size: 10000 },
      { type: 'update.progress', written: 4096, size: 10000 },
      { type: 'update.progress', written: 8192, size: 10000 },
      { type: 'update.progress', written: 10000, size: 10000 },
      { type: 'update.end', md5: md5Hex(image), size: 10000 },
    ]);
  });

  test('a file system says so; a signed image ends with the size of its payload', async () => {
    const rig = makeRig();
    await rig.update.begin(4096, U_FS);
    expect(rig.events[0]).toEqual({ type: 'update.begin', command: 'fs', address: 0x200000, size: 4096 });
    const signed = makeRig();
    signed.update.installSignature(rsaVerifier());
    await signed.update.begin(10260);
    await signed.update.write(signedFile(image));
    await signed.update.end();
    expect(signed.events.at(-1)).toEqual({ type: 'update.end', md5: '0'.repeat(32), size: 10000 });
  });

  test('errors tell code, name and text, and cost no flash access of their own', async () => {
    const rig = makeRig({ chip: MIB, nibble: 4 });
    await rig.update.begin(1000);
    expect(rig.events).toEqual([
      {
        type: 'update.error',
        code: 8,
        name: 'FLASH_CONFIG',
        message: 'Flash config wrong: real: 1048576, SDK: 4194304',
      },
    ]);
    expect(rig.calls).toEqual([['read', 0, 4]]); // that of the check
  });
});

test('the hash is fed from flash in pieces of 128 bytes', async () => {
  const hashed: number[] = [];
  const rig = makeRig();
  rig.update.installSignature(rsaVerifier(hashed));
  await rig.update.begin(10260);
  await rig.update.write(signedFile(image));
  rig.calls.length = 0;
  await rig.update.end();
  expect(hashed).toEqual([...Array.from({ length: 78 }, () => 128), 16]);
  expect(rig.calls[0]).toEqual(['read', 0x1fd000 + 10256, 4]);
  expect(rig.calls.slice(1, 3)).toEqual([
    ['read', 0x1fd000, 128],
    ['read', 0x1fd080, 128],
  ]);
});

test('a verifier that expects no signature judges the whole file', async () => {
  const rig = makeRig();
  const verify = (digest: Uint8Array, signature: Uint8Array | undefined): boolean =>
    signature === undefined && Buffer.from(digest).toString('hex') === sha256Hex(image);
  rig.update.installSignature({ ...rsaVerifier(), length: 0, verify });
  await rig.update.begin(10000);
  await rig.update.write(image);
  expect(await rig.update.end()).toBe(true);
  expect(rig.commands[0]!.size).toBe(10000);
});

describe('invariant: an Interruption passes through, whatever was being done', () => {
  const acts: [name: string, act: (rig: Rig) => Promise<unknown>][] = [
    ['write', (rig) => rig.update.write(image)],
    ['writeFrom', (rig) => rig.update.writeFrom(new ScriptedSource(rig.clock, [{ bytes: image }]))],
    ['writeStream', (rig) => rig.update.writeStream(streamOf(rig, image))],
  ];
  test.each(acts)('%s', async (_name, act) => {
    for (const kind of ['erase', 'program'] as const) {
      const lost = new PowerLost();
      const rig = await begun(10000, undefined, {
        faults: faultAt(kind, 2, { do: 'stop', point: 'after', with: lost }),
      });
      await expect(act(rig)).rejects.toBe(lost);
      expect([rig.update.getError(), rig.log.filter((entry) => !entry.startsWith('P'))]).toEqual([0, []]);
    }
  });

  test('a callback or a port that rejects is not caught either', async () => {
    const rig = makeRig();
    const lost = new PowerLost();
    rig.clock.yield = () => Promise.reject(lost);
    await rig.update.begin(10000);
    await expect(rig.update.write(image)).rejects.toBe(lost);
  });
});
