/** `vesp image …` as a user meets it. Contract: design.md §4. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Command, CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { registerImageCommands } from '../../emulator/cli/commands/image.ts';
import { UserError } from '../../emulator/cli/errors.ts';
import { parseImage } from '../../flash/image-format.ts';
import type { ImageInfo } from '../../flash/image-info.ts';
import { patched } from '../support/images.ts';

let folder: string;
const path = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-image-'));
  for (const name of ['one', 'two']) {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(path(`${name}-public.pem`), publicKey.export({ type: 'spki', format: 'pem' }));
    writeFileSync(path(`${name}-private.pem`), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Result {
  /** 0, or the exit code that the error asks for. */
  code: number;
  out: string;
  error: string;
}

/** Runs a command line as `main.ts` would. */
async function vesp(...args: string[]): Promise<Result> {
  const program = new Command('vesp').version('9.9.9');
  registerImageCommands(program);
  const said: string[] = [];
  const quiet = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: (text) => void said.push(text), writeOut: () => {} });
    for (const child of command.commands) quiet(child);
  };
  quiet(program);
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  let code = 0;
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof UserError || thrown instanceof CommanderError)) throw thrown;
    code = thrown instanceof UserError ? thrown.exitCode : 2;
    said.push(thrown.message);
  } finally {
    log.mockRestore();
  }
  return { code, out: lines.join('\n'), error: said.join('') };
}

const build = (out: string, ...more: string[]): Promise<Result> =>
  vesp('image', 'build', '--out', path(out), '--sketch', 'basic-ota', '--version', '1.0', ...more);

describe('build', () => {
  test('writes a valid image, and nothing else', async () => {
    mkdirSync(path('alone'));
    const result = await build(
      'alone/a.bin',
      '--size',
      '100001',
      '--layout',
      '1M64',
      '--core',
      '2.7.4',
      '--mode',
      'qio',
      '--freq',
      '80',
      '--seed',
      '7',
    );
    expect(result).toMatchObject({
      code: 0,
      error: '',
      out: expect.stringMatching(/a\.bin: 100016 bytes, basic-ota version 1\.0 for 1M64, md5 [0-9a-f]{32}$/),
    });
    expect(readdirSync(path('alone'))).toEqual(['a.bin']);
    const report = parseImage(readFileSync(path('alone/a.bin')));
    expect(report.problems).toEqual([]);
    expect(report).toMatchObject({
      eboot: { build: '2.7.4' },
      boot: { header: { mode: 'qio', freqMHz: 80, flashSize: 0x100000 } },
      manifest: { version: '1.0', core: '2.7.4', layout: '1m64' },
    });
  });

  test('puts settings into it, the text of a key instead of its file', async () => {
    const settings = ['password=a=b', 'ota-port=9000', 'mdns=false', `public-key=${path('one-public.pem')}`];
    expect((await build('set.bin', ...settings.flatMap((setting) => ['--set', setting]))).code).toBe(0);
    expect(parseImage(readFileSync(path('set.bin'))).manifest?.settings).toEqual({
      password: 'a=b',
      'ota-port': 9000,
      mdns: false,
      'public-key': readFileSync(path('one-public.pem'), 'latin1'),
    });
  });

  test.each<[string, string[], RegExp]>([
    ['sketch', ['--sketch', 'basic-otta'], /--sketch: unknown sketch "basic-otta"; did you mean basic-ota\?/],
    ['size', ['--size', 'big'], /--size "big": wants a whole number/],
    ['small size', ['--size', '30'], /image size 30: want whole bytes from \d+ to 1048576/],
    ['large size', ['--size', '0x200000'], /layout 4m2m has room for 1048576/],
    ['layout', ['--layout', '5m'], /unknown layout "5m"/],
    ['unshipped layout', ['--layout', '16m'], /16m14m and 16m15m/],
    ['core', ['--core', '1.0.0'], /want master or a release from 2\.0\.0 on/],
    ['mode', ['--mode', 'fast'], /Allowed choices are qio, qout, dio, dout/],
    ['frequency', ['--freq', '50'], /Allowed choices are 40, 26, 20, 80/],
    ['seed', ['--seed', 'x'], /--seed "x"/],
    ['setting', ['--set', 'flash=x.bin'], /unknown setting "flash"/],
    ['setting without value', ['--set', 'password'], /wants KEY=VALUE/],
    ['setting of another kind', ['--set', 'ota-port=x'], /setting ota-port: wants a port, 0 to 65535/],
    ['key file', ['--set', 'public-key=/nowhere/x.pem'], /--set public-key \/nowhere\/x\.pem: there is no such file/],
    ['version', ['--version', ''], /version "": want 1 to 64 printable characters/],
  ])('an impossible %s ends with 2, says why, and writes nothing', async (_name, args, error) => {
    const result = await build('never.bin', ...args);
    expect(result.code).toBe(2);
    expect(result.error).toMatch(error);
    expect(readdirSync(folder)).not.toContain('never.bin');
  });

  test('a private key does not get into an image', async () => {
    const result = await build('never.bin', '--set', `public-key=${path('one-private.pem')}`);
    expect(result).toMatchObject({ code: 2, error: expect.stringMatching(/this is a private key/) });
  });

  test.each([
    ['a missing folder', 'nowhere/a.bin', /there is no folder .*nowhere/],
    ['a folder', '.', /is a folder; name a file in it/],
    ['a file as folder', 'one-public.pem/a.bin', /there is no folder/],
  ])('%s as --out ends with 2', async (_name, out, error) => {
    expect(await build(out)).toMatchObject({ code: 2, error: expect.stringMatching(error) });
  });

  test('an existing image is replaced as a whole', async () => {
    await build('again.bin', '--size', '9000');
    await build('again.bin', '--size', '8000');
    expect(parseImage(readFileSync(path('again.bin')))).toMatchObject({ size: 8000, problems: [] });
    expect(readdirSync(folder).filter((name) => name.includes('.part'))).toEqual([]);
  });

  test('what is asked for must be named', async () => {
    expect(await vesp('image', 'build', '--out', path('x.bin'), '--sketch', 'blank')).toMatchObject({
      code: 2,
      error: expect.stringMatching(/required option '--version <text>'/),
    });
  });
});

describe('info', () => {
  test('tells about an image, in words and as JSON', async () => {
    await build('info.bin', '--set', 'password=geheim');
    const words = await vesp('image', 'info', path('info.bin'));
    expect(words).toMatchObject({ code: 0, error: '' });
    expect(words.out).toMatch(/info\.bin: 273856 bytes, firmware.*\n {2}md5 {10}[0-9a-f]{32}\n/);
    const { out } = await vesp('image', 'info', path('info.bin'), '--json');
    const info = JSON.parse(out) as ImageInfo & { file: string };
    expect(info).toMatchObject({
      file: path('info.bin'),
      size: 273856,
      kind: 'firmware',
      embedded: { ok: true },
      problems: [],
    });
    expect(words.out + out).not.toContain('geheim');
  });

  test('looks into a gzip', async () => {
    await build('zip.bin');
    writeFileSync(path('zip.bin.gz'), gzipSync(readFileSync(path('zip.bin'))));
    const result = await vesp('image', 'info', path('zip.bin.gz'));
    expect(result).toMatchObject({ code: 0, out: expect.stringContaining('unpacked: 273856 bytes, firmware') });
  });

  test('ends with 2 for a broken image, after the report', async () => {
    await build('broken.bin');
    const image = readFileSync(path('broken.bin'));
    writeFileSync(path('broken.bin'), patched(image, 9000, 1, 2, 3, 4));
    expect(await vesp('image', 'info', path('broken.bin'))).toMatchObject({
      code: 2,
      out: expect.stringContaining('condition    damaged'),
      error: expect.stringMatching(/broken\.bin: length and CRC at 0x1010 the CRC is/),
    });
  });

  test.each([
    ['a missing file', 'nothing.bin', /nothing\.bin: there is no such file$/],
    ['a folder', '.', /is a folder; name a file$/],
    ['an empty file', 'empty.bin', /empty\.bin: file is empty$/],
    ['a file larger than any chip', 'huge.bin', /has more than 16781312 bytes/],
  ])('%s ends with 2', async (_name, name, error) => {
    writeFileSync(path('empty.bin'), '');
    writeFileSync(path('huge.bin'), Buffer.alloc(17 << 20));
    expect(await vesp('image', 'info', path(name))).toMatchObject({ code: 2, error: expect.stringMatching(error) });
  });
});

describe('sign and verify', () => {
  beforeAll(async () => {
    await build('sign.bin');
  });

  test.each([
    ['new', [], 'sign.bin.signed'],
    ['legacy', ['--legacy'], 'sign.bin.legacy_sig'],
  ])('a %s signature is good in its form only', async (format, options, name) => {
    const signed = await vesp('image', 'sign', path('sign.bin'), '--key', path('one-private.pem'), ...options);
    expect(signed).toMatchObject({ code: 0, out: expect.stringContaining(`${name}: 274116 bytes`) });
    const verify = (...more: string[]) => vesp('image', 'verify', path(name), '--key', path('one-public.pem'), ...more);
    expect(await verify(...options)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/good .*signature over 273856 bytes$/),
    });
    const other = await verify(...(format === 'new' ? ['--legacy'] : []));
    expect(other).toMatchObject({ code: 1, out: '', error: expect.stringMatching(/signature is good, but in the/) });
  });

  test('--out, --private-key and --public-key', async () => {
    expect(
      await vesp(
        'image',
        'sign',
        path('sign.bin'),
        '--private-key',
        path('one-private.pem'),
        '--out',
        path('else.bin'),
      ),
    ).toMatchObject({ code: 0 });
    expect(await vesp('image', 'verify', path('else.bin'), '--public-key', path('one-public.pem'))).toMatchObject({
      code: 0,
    });
  });

  test.each<[string, string[], number, RegExp]>([
    [
      'another key',
      ['verify', 'ok.signed', '--key', 'two-public.pem'],
      1,
      /made with another key, or the image was changed/,
    ],
    ['an unsigned image', ['verify', 'sign.bin', '--key', 'one-public.pem'], 1, /is not signed/],
    ['a private key to verify with', ['verify', 'ok.signed', '--key', 'one-private.pem'], 2, /no public key in PEM/],
    ['a public key to sign with', ['sign', 'sign.bin', '--key', 'one-public.pem'], 2, /signing wants the private one/],
    ['a signed image to sign', ['sign', 'ok.signed', '--key', 'one-private.pem'], 2, /is signed already/],
    ['a missing key', ['sign', 'sign.bin', '--key', 'three.pem'], 2, /key .*three\.pem: there is no such file/],
    ['no key', ['verify', 'ok.signed'], 2, /required option '--key <pem>'/],
  ])('%s', async (_name, [verb, file, ...rest], code, error) => {
    await vesp('image', 'sign', path('sign.bin'), '--key', path('one-private.pem'), '--out', path('ok.signed'));
    const args = rest.map((argument) => (argument.endsWith('.pem') ? path(argument) : argument));
    const result = await vesp('image', verb!, path(file!), ...args);
    expect(result).toMatchObject({ code, error: expect.stringMatching(error) });
    expect(result.error).not.toMatch(/\n\s+at /); // no stack trace
  });
});

test('--version of the program does not swallow that of an image', async () => {
  expect((await vesp('--version')).error).toBe('9.9.9');
  await build('version.bin');
  expect(parseImage(readFileSync(path('version.bin'))).manifest?.version).toBe('1.0');
});
