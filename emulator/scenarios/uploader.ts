/** Between espota.py, the Arduino tools and the device. Source: spec chapter 06, rows 31 to 33, 38, 39; chapter 03 §11, §13. */
import { createHash } from 'node:crypto';
import { parseMessage } from '../../ota-services/mdns/message.ts';
import type { Device } from '../device.ts';
import { latin1, md5 } from './peers.ts';
import type { Scenario, Stage } from './scenario.ts';

const SIZE = 60_000;

/** What the device sent on a channel, latin1. */
const sent = (device: Device, channel: string): string[] =>
  device.events
    .recent()
    .flatMap((event) =>
      event.type === 'wire.out' && event.channel === channel ? [latin1(Buffer.from(event.data, 'base64'))] : [],
    );

export const wrongPassword: Scenario = {
  name: 'wrong-password',
  rows: [31],
  title: '"Authentication Failed" or "No Answer to our Authentication": which of the two, and why',
  threads: '#2654, #959, espurna #1017, espurna #2194',
  cause:
    'the first is the device’s own word for a wrong password. The second is silence: the datagram with the answer to its ' +
    'challenge was lost, or came from an uploader whose answer the device cannot read. It sends nothing again, and waits.',
  cure:
    'for the first the right password; for the second simply try again, twice: the device still waits for the lost answer, and ' +
    'takes the next invitation for it',
  async play(stage) {
    const image = stage.image({ version: '2.0', size: SIZE });
    const make = () =>
      stage.device({ image: stage.image({ version: '1.0', size: SIZE }), ota: { password: 'secret' } }, 'arduino-ota');
    const upload = (device: Device, password: string) => stage.update(device, { path: 'arduino-ota', image, password });
    const device = await make();
    stage.step('a wrong password');
    const wrong = await upload(device, 'sceret');
    stage.symptom(
      wrong.error === 'Authentication Failed' && device.serial.text().includes('Error[0]: Auth Failed'),
      'espota.py shows "Authentication Failed", the serial line "Error[0]: Auth Failed"',
    );
    stage.evidence(stage.last(device, 'ota.auth').ok === false, 'the device read the answer, and it was wrong');
    stage.step('the right password, but the second datagram is lost');
    const first = `0 65535 ${SIZE} ${md5('')}\n`.length;
    device.faults.arm(`net-loss@udp:${first + 10}`);
    const lost = await upload(device, 'secret');
    stage.symptom(
      lost.error === 'No Answer to our Authentication',
      'after ten seconds espota.py shows "No Answer to our Authentication"; the serial line shows nothing',
    );
    stage.evidence(device.events.recent('ota.auth').length === 1, 'the device never saw an answer');
    stage.step('once more, and again');
    const swallowed = await upload(device, 'secret');
    stage.evidence(
      swallowed.error === 'No Answer',
      'the first invitation is taken for the answer that was lost: "No Answer"',
    );
    await upload(device, 'secret');
    await stage.settled(device);
    stage.cured(stage.running(device) === '2.0', 'the second is taken: version 2.0 runs');
  },
};

export const firewall: Scenario = {
  name: 'firewall',
  rows: [32],
  title: '"No response from device", although the device answers the invitation',
  threads: '#3187, #3758, #4719, ESP32-OTA #14',
  cause:
    'the image does not travel the way the invitation did: the device connects back to the uploader, to a port that changes ' +
    'every time. The firewall of the uploader’s machine lets its own datagram out and the device’s connection not in.',
  cure: 'let connections to espota.py in; a fixed port (--host_port) makes the rule for that simple',
  async play(stage) {
    const image = stage.image({ version: '2.0', size: SIZE });
    const device = await stage.device({ image: stage.image({ version: '1.0', size: SIZE }) }, 'arduino-ota');
    const errors = (text: string): string => (text.match(/Error\[\d\]: \w+ Failed/g) ?? []).join(', ');
    stage.step('a firewall that drops what it does not know');
    device.network.link = ({ direction, protocol }) =>
      direction === 'to-peer' && protocol === 'tcp' ? 'drop' : 'pass';
    const dropped = await stage.update(device, { path: 'arduino-ota', image });
    const heard = errors(device.serial.text());
    stage.symptom(
      dropped.error === 'No response from device' && heard === 'Error[2]: Connect Failed, Error[4]: End Failed',
      `espota.py shows "No response from device"; the serial line, five seconds after the start, "${heard}"`,
    );
    stage.evidence(
      sent(device, 'udp').at(-1) === 'OK' && !stage.last(device, 'ota.connect').ok,
      'the device answered OK, and then tried in vain to connect to the uploader',
    );
    stage.step('a firewall that refuses it');
    device.network.link = undefined;
    device.faults.arm('net-refuse@tcp:0');
    const refused = await stage.update(device, { path: 'arduino-ota', image });
    stage.symptom(refused.error === 'No response from device', 'the same words, the two lines of the device at once');
    stage.step('the port is opened');
    await stage.update(device, { path: 'arduino-ota', image });
    await stage.settled(device);
    stage.cured(stage.running(device) === '2.0', 'version 2.0 runs');
  },
};

export const stalledUpload: Scenario = {
  name: 'stalled-upload',
  rows: [33],
  title: 'the upload stops somewhere between 8 and 56 %, and the device does not answer any more',
  threads: '#6718, AsyncElegantOTA #50',
  cause:
    'the radio link went silent without ending. The device is inside ArduinoOTA.handle(), which waits for the next byte as long ' +
    'as the connection lasts, without limit: the sketch stands still, and nothing of it is served.',
  cure: 'a reset of the device: it starts the old version, as nothing but the staging area was written; then upload again',
  async play(stage) {
    const image = stage.image({ version: '2.0', size: SIZE });
    const make = () => stage.device({ image: stage.image({ version: '1.0', size: SIZE }) }, 'arduino-ota');
    const device = await make();
    stage.step('the link dies at 30 % of the image');
    device.faults.arm(`net-stall@tcp:${Math.floor(SIZE * 0.3)}`);
    const { error } = await stage.update(device, { path: 'arduino-ota', image });
    await stage.until(device, 'freeze', () => device.events.recent('device.frozen').length > 0);
    const done = stage.last(device, 'ota.ack').total;
    stage.symptom(
      error === 'Error Uploading',
      `at ${Math.floor((100 * done) / SIZE)} % espota.py shows "Error Uploading"; the device stays silent`,
    );
    const again = await stage.update(device, { path: 'arduino-ota', image });
    stage.symptom(again.error === 'No Answer', 'the next attempt: "No Answer"');
    stage.evidence(
      device.events.recent().findLast(({ type }) => type === 'device.frozen' || type === 'device.thawed')?.type ===
        'device.frozen',
      'the sketch has been inside ArduinoOTA.handle() ever since',
    );
    stage.step('the same, but the connection is reset by the link');
    const told = await make();
    told.faults.arm(`net-reset@tcp:${Math.floor(SIZE * 0.3)}`);
    await stage.update(told, { path: 'arduino-ota', image });
    await stage.until(told, 'error', () => told.serial.text().includes('Error[4]: End Failed'));
    stage.evidence(told.events.recent('device.frozen').length === 0, 'then the device notices: "Error[4]: End Failed"');
    stage.step('the reset button, and another attempt');
    await stage.restart(device, 'reset-button');
    stage.require(stage.running(device) === '1.0', 'version 1.0 starts');
    await stage.update(device, { path: 'arduino-ota', image });
    await stage.settled(device);
    stage.cured(stage.running(device) === '2.0', 'version 2.0 runs');
  },
};

const GROUP = '224.0.0.251';
const MDNS_PORT = 5353;
const TYPE_SRV = 33;
const TYPE_PTR = 12;
/** What the core's platform.txt makes of a network port. Source: spec chapter 03 §11.2. */
const PATTERN = 'espota.py -i {upload.port.address} -p {upload.port.properties.port}';

/** A question for one type of service, as the discovery tool sends it. */
function question(name: string): Uint8Array {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  const head = Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, TYPE_PTR, 0, 1])]);
}

/** mdns-discovery: asks once, and takes what is announced or answered within its time. */
async function discover(device: Device, withinUs: number): Promise<Record<string, string>> {
  const socket = device.network.udp('192.168.1.10', MDNS_PORT, { group: GROUP });
  socket.send(question('_arduino._tcp.local'), { address: GROUP, port: MDNS_PORT });
  await device.advance(withinUs);
  socket.close();
  for (const { data, from } of socket.received) {
    const message = parseMessage(data);
    if (!message?.response) continue;
    const service = [...message.answers, ...message.additionals].find(({ type }) => type === TYPE_SRV);
    if (service?.port === undefined) continue;
    return { 'upload.port.address': from.address, 'upload.port.properties.port': String(service.port) };
  }
  return {};
}

const expand = (pattern: string, values: Record<string, string>): string =>
  pattern.replace(/\{([^}]+)\}/g, (field, name: string) => values[name] ?? field);

export const portNotFound: Scenario = {
  name: 'port-not-found',
  rows: [38],
  title: 'the network port is not in the list, or the upload fails with "{upload.port.properties.port}" in its command',
  threads: '#8962, arduino-cli #3062, arduino-ide #740, arduino-ide #967',
  cause:
    'the tools learn address and port of a device from its mDNS announcements alone. Where the sketch does not announce itself, ' +
    'or the answer comes later than the tool waits, there is nothing to fill into the upload command, and the name of the ' +
    'missing value stays in it.',
  cure: 'let ArduinoOTA.begin() start mDNS; give the tool a longer discovery timeout; or call espota.py with -i and -p',
  assumed: 'the tool waits one second; how long it really waits depends on its settings',
  async play(stage) {
    const waitUs = 1_000_000;
    const make = (mdns: boolean) =>
      stage.device({ image: stage.image({ version: '1.0', size: SIZE }), mdns }, 'arduino-ota');
    stage.step('a sketch that calls ArduinoOTA.begin(false)');
    const silent = await make(false);
    await silent.advance(12_000_000);
    const nothing = await discover(silent, waitUs);
    const command = expand(PATTERN, { ...nothing, 'upload.port.address': silent.network.address });
    stage.symptom(
      Object.keys(nothing).length === 0 && command.endsWith('-p {upload.port.properties.port}'),
      `no port is found; with the address typed in by hand the tool runs "${command}"`,
    );
    stage.evidence(
      silent.address.ota !== undefined && sent(silent, 'mdns').length === 0,
      'ArduinoOTA listens, but the device never sent an mDNS datagram',
    );
    stage.step('a sketch with mDNS on a slow link');
    const device = await make(true);
    await device.advance(12_000_000);
    device.network.link = ({ direction }) => (direction === 'to-peer' ? { delayUs: 2 * waitUs } : 'pass');
    const late = await discover(device, waitUs);
    stage.symptom(Object.keys(late).length === 0, 'no port is found either');
    stage.evidence(
      sent(device, 'mdns').length > 0,
      'the device answered at once; the tool had stopped listening when the answer came',
    );
    stage.step('the same device, and a tool that waits three seconds');
    const found = expand(PATTERN, await discover(device, 3 * waitUs));
    stage.cured(
      found === `espota.py -i ${device.network.address} -p ${device.address.ota?.port}`,
      `the tool runs "${found}"`,
    );
  },
};

type Digest = 'md5' | 'sha256';

const NONCE_LENGTHS: Record<Digest, number> = { md5: 32, sha256: 64 };

/** The challenge of a device, answered by a tool of one kind; the device's last word. */
async function authenticate(stage: Stage, device: Device, tool: (nonce: string) => Digest): Promise<string> {
  const udp = device.network.udp();
  const port = device.address.ota?.port ?? 0;
  udp.send(`0 9 ${SIZE} ${md5('')}\n`, port);
  await stage.until(device, 'challenge', () => udp.received.length > 0);
  const nonce = latin1(udp.received[0]!.data).split(' ')[1] ?? '';
  const digest = tool(nonce);
  const hash = (text: string): string => createHash(digest).update(text).digest('hex');
  const cnonce = hash('firmware.bin');
  udp.send(`200 ${cnonce} ${hash(`${hash('secret')}:${nonce}:${cnonce}`)}\n`, port);
  const deadline = device.nowUs + 10_000_000;
  await stage.until(device, 'answer', () => udp.received.length > 1 || device.nowUs > deadline);
  udp.close();
  return udp.received[1] ? latin1(udp.received[1].data) : 'No Answer to our Authentication';
}

export const newerUploader: Scenario = {
  name: 'newer-uploader',
  rows: [39],
  title: 'after an update of the tools no device with a password can be updated any more',
  threads: 'arduino-esp32 #11855',
  cause:
    'the tools of arduino-esp32 3.3.1 hash with SHA-256, devices with older firmware with MD5. The challenge of the one has 64 ' +
    'characters, that of the other 32, and a device ignores an answer of the other length without a word.',
  cure: 'a tool that goes by the length of the challenge; or the tools that the running firmware was built with',
  assumed:
    'that SHA-256 simply takes the place of MD5: the real answer of 3.3.1 is derived in more steps, which change nothing here',
  async play(stage) {
    const make = (digest: Digest) =>
      stage.device(
        { image: stage.image({ version: '1.0', size: SIZE }), ota: { password: 'secret', digest } },
        'arduino-ota',
      );
    for (const [firmware, tool] of [
      ['md5', 'sha256'],
      ['sha256', 'md5'],
    ] as const) {
      stage.step(`a device that hashes with ${firmware}, a tool that hashes with ${tool}, the right password`);
      const device = await make(firmware);
      const answer = await authenticate(stage, device, () => tool);
      stage.symptom(answer === 'No Answer to our Authentication', `the tool shows "${answer}"`);
      stage.evidence(
        sent(device, 'udp').at(-1)?.length === 'AUTH '.length + NONCE_LENGTHS[firmware] &&
          stage.last(device, 'ota.auth').ok === false,
        `the challenge had ${NONCE_LENGTHS[firmware]} characters, the answer ${NONCE_LENGTHS[tool]}`,
      );
    }
    stage.step('a tool that looks at the length of the challenge, and both devices');
    const byLength = (nonce: string): Digest => (nonce.length === NONCE_LENGTHS.md5 ? 'md5' : 'sha256');
    for (const firmware of ['md5', 'sha256'] as const) {
      const answer = await authenticate(stage, await make(firmware), byLength);
      stage.cured(answer === 'OK', `${firmware}: the device answers "${answer}"`);
    }
  },
};
