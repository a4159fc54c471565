/** `vesp image info|build|sign|verify`. Contract: design.md §4. */
import { createHash } from 'node:crypto';
import { type Command, Option } from 'commander';
import { type BuildOptions, buildImage } from '../../../flash/image-build.ts';
import { parseImage } from '../../../flash/image-format.ts';
import { type FlashMode, flashFrequencies, flashModes } from '../../../flash/image-header.ts';
import { formatImageInfo, imageInfo } from '../../../flash/image-info.ts';
import { manifestSettings, parseSetting, type SettingValue } from '../../../flash/manifest.ts';
import { unknownName } from '../../../flash/names.ts';
import { gunzip } from '../../gzip.ts';
import { KeyError, signImage, verifyImage } from '../../signing.ts';
import { SKETCH_NAMES } from '../../sketches/index.ts';
import { UserError } from '../errors.ts';
import { readInput, writeWhole } from '../files.ts';
import { parseCount } from '../numbers.ts';

/** The largest chip, and a signature. */
const MAX_IMAGE_BYTES = 0x1000000 + 4096;
const MAX_KEY_BYTES = 65536;

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

export function registerImageCommands(program: Command): void {
  // Without it, the program's own --version would be taken out of `image build --version 1.0`.
  program.enablePositionalOptions();
  const image = program.command('image').description('Look into firmware images, make them, sign them.');
  registerInfo(image);
  registerBuild(image);
  registerSign(image);
  registerVerify(image);
}

function registerInfo(image: Command): void {
  image
    .command('info')
    .argument('<file>', 'firmware: .bin, .bin.gz, signed or not')
    .description('Say all about an image: header, segments, eboot, checksum, CRC, gzip, signature, fit on each layout.')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nEnds with 2 when the file is no image, or one that cannot work; the report says why.')
    .action((file: string, options: { json?: boolean }) => {
      const info = imageInfo(readInput('image', file, MAX_IMAGE_BYTES), { inflate: gunzip, md5 });
      console.log(options.json ? JSON.stringify({ file, ...info }, null, 2) : formatImageInfo(file, info));
      const error = info.problems.find(({ severity }) => severity === 'error');
      if (error) throw new UserError(`${file}: ${error.where} ${error.message}`);
    });
}

interface BuildArguments {
  out: string;
  sketch: string;
  version: string;
  size?: string;
  layout: string;
  core: string;
  mode: FlashMode;
  freq: string;
  seed: string;
  set: string[];
}

function registerBuild(image: Command): void {
  image
    .command('build')
    .description('Make a valid image that the device can boot: what it does is written in it, not compiled.')
    .requiredOption('--out <file>', 'where to write the .bin')
    .requiredOption('--sketch <names>', `what it does: ${SKETCH_NAMES.join(', ')}; several with commas`)
    .requiredOption('--version <text>', 'the version that the sketch reports')
    .option('--size <bytes>', 'bytes of the file, rounded up to 16 (a typical size that fits twice)')
    .option('--layout <name>', 'flash layout; see `vesp layouts`; also auto', '4m2m')
    .option('--core <version>', 'era of the Arduino core: master, or a release from 2.0.0 on', 'master')
    .addOption(new Option('--mode <mode>', 'flash mode in the header').choices([...flashModes]).default('dio'))
    .addOption(
      new Option('--freq <MHz>', 'flash clock in the header').choices(flashFrequencies.map(String)).default('40'),
    )
    .option('--seed <n>', 'chooses the filler of the code segments', '1')
    .option('--set <key=value>', 'a setting that the firmware brings along, e.g. password=x; repeatable', collect, [])
    .addHelpText(
      'after',
      `
--set takes these options of \`run\`: ${Object.keys(manifestSettings).join(', ')}.
For ca and public-key, VALUE is a file, whose text goes into the image.

Example: image build --out v2.bin --sketch basic-ota --version 2.0 --size 300000 --layout 4m2m --set password=x`,
    )
    .action(build);
}

const collect = (value: string, list: string[]): string[] => [...list, value];

function build(options: BuildArguments): void {
  const sketch = options.sketch.split(',').map((name) => name.trim());
  const unknown = sketch.find((name) => !SKETCH_NAMES.includes(name));
  if (unknown !== undefined) throw new UserError(`--sketch: ${unknownName('sketch', unknown, SKETCH_NAMES).message}`);
  const size = options.size === undefined ? undefined : parseCount('--size', options.size);
  const buildOptions: BuildOptions = {
    sketch,
    version: options.version,
    layout: options.layout.toLowerCase(),
    core: options.core,
    mode: options.mode,
    freq: Number(options.freq),
    seed: parseCount('--seed', options.seed),
    settings: Object.fromEntries(options.set.map(settingOf)),
    ...(size === undefined ? {} : { size }),
  };
  const bytes = wordsOf(RangeError, '', () => buildImage(buildOptions));
  writeWhole(options.out, bytes);
  console.log(
    `${options.out}: ${bytes.length} bytes, ${sketch.join(',')} version ${options.version} for ${options.layout}, md5 ${md5(bytes)}`,
  );
}

/** `KEY=VALUE`. A PEM setting is a file here and its text in the image, which never names files. */
function settingOf(text: string): [string, SettingValue] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new UserError(`--set ${text}: wants KEY=VALUE, e.g. password=x`);
  const key = text.slice(0, equals);
  const value = text.slice(equals + 1);
  const isPem = Object.hasOwn(manifestSettings, key) && manifestSettings[key] === 'pem';
  const content = isPem ? readInput(`--set ${key}`, value, MAX_KEY_BYTES).toString('latin1') : value;
  if (isPem && content.includes('PRIVATE KEY-----')) {
    throw new UserError(`--set ${key}=${value}: this is a private key, which has no place in an image`);
  }
  return [key, wordsOf(RangeError, '--set: ', () => parseSetting(key, content))];
}

/** Makes the errors of a class the user's. */
function wordsOf<T>(mistake: new (...message: never[]) => Error, where: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof mistake) throw new UserError(`${where}${error.message}`);
    throw error;
  }
}

function readKey(file: string | undefined): { file: string; pem: string } {
  if (file === undefined) throw new UserError("required option '--key <pem>' not specified");
  return { file, pem: readInput('key', file, MAX_KEY_BYTES).toString('latin1') };
}

interface SignArguments {
  key?: string;
  privateKey?: string;
  out?: string;
  legacy?: boolean;
}

function registerSign(image: Command): void {
  image
    .command('sign')
    .argument('<file>', 'image to sign: .bin or .bin.gz')
    .description('Put a signature behind an image, as tools/signing.py does.')
    .option('--key <pem>', 'RSA private key; also --private-key')
    .addOption(new Option('--private-key <pem>').hideHelp())
    .option('--out <file>', 'where to write it (FILE.signed, with --legacy FILE.legacy_sig)')
    .option('--legacy', 'in the form for cores up to 2.5.2, which newer ones refuse')
    .action((file: string, options: SignArguments) => {
      const bytes = readInput('image', file, MAX_IMAGE_BYTES);
      if (parseImage(bytes).signature) throw new UserError(`image ${file}: is signed already; sign the original`);
      const key = readKey(options.key ?? options.privateKey);
      const legacy = options.legacy === true;
      const signed = wordsOf(KeyError, `key ${key.file}: `, () => signImage(bytes, key.pem, { legacy }));
      const out = options.out ?? `${file}${legacy ? '.legacy_sig' : '.signed'}`;
      writeWhole(out, signed);
      console.log(
        `${out}: ${signed.length} bytes, ${legacy ? 'legacy signature' : 'signature'} of ${signed.length - bytes.length - 4} bytes`,
      );
    });
}

function registerVerify(image: Command): void {
  image
    .command('verify')
    .argument('<file>', 'signed image')
    .description('Check a signature as a device would: ends with 0 when it is good, with 1 when not.')
    .option('--key <pem>', 'RSA public key; also --public-key')
    .addOption(new Option('--public-key <pem>').hideHelp())
    .option('--legacy', 'as a core up to 2.5.2 would: only the legacy form is good')
    .action((file: string, options: { key?: string; publicKey?: string; legacy?: boolean }) => {
      const bytes = readInput('image', file, MAX_IMAGE_BYTES);
      const key = readKey(options.key ?? options.publicKey);
      const result = wordsOf(KeyError, `key ${key.file}: `, () => verifyImage(bytes, key.pem));
      if (!result.ok) throw new UserError(`${file}: ${result.reason}`, 1);
      const wanted = options.legacy ? 'legacy' : 'new';
      if (result.format !== wanted) {
        const why = options.legacy
          ? 'the signature is good, but in the new form, which cores up to 2.5.2 refuse'
          : 'the signature is good, but in the legacy form, which only cores up to 2.5.2 accept (see --legacy)';
        throw new UserError(`${file}: ${why}`, 1);
      }
      console.log(`${file}: good ${wanted === 'legacy' ? 'legacy ' : ''}signature over ${result.payload.length} bytes`);
    });
}
