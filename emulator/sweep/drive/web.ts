/** An upload to the form of the web updater, as `curl -F` sends it. Source: spec chapter 04 §9–§12; RFC 7617, RFC 7616. */
import { createHash } from 'node:crypto';
import type { PeerConnection } from '../../network/simulated-peer.ts';
import type { Drive, Peer } from './drive.ts';
import { type HttpMessage, head, readMessage } from './http-text.ts';
import { Pump } from './pump.ts';

/** So long an answer may take: the largest erase of a file system is in it. */
const ANSWER_US = 120_000_000;
const BOUNDARY = '------------------------bbc465744d1cacc2';
const CNONCE = '6c6f6f6b206174206d65';

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

export function web(drive: Drive): Peer {
  const { device, options } = drive;
  const { port } = device.address.http ?? {};
  if (port === undefined) {
    drive.fail('the running firmware has no web updater');
    return { close() {} };
  }
  const { credentials, formPath = '/update' } = options;
  const host = `${drive.network.address}${port === 80 ? '' : `:${port}`}`;
  const common = [
    ['User-Agent', 'curl/7.88.1'],
    ['Accept', '*/*'],
  ] as const;
  const request = (
    method: string,
    authorization: string | undefined,
    more: readonly (readonly [string, string | number])[],
  ) =>
    head(`${method} ${formPath} HTTP/1.1`, [
      ['Host', host],
      ...(authorization === undefined ? [] : [['Authorization', authorization] as const]),
      ...common,
      ...more,
    ]);

  let exchange: Exchange;
  const upload = (authorization: string | undefined): void => {
    const body = multipart(drive);
    const length = body.reduce((sum, { length }) => sum + length, 0);
    const fields = [
      ['Content-Length', length],
      ['Content-Type', `multipart/form-data; boundary=${BOUNDARY}`],
    ] as const;
    exchange = new Exchange(drive, port, [request('POST', authorization, fields), ...body], (answer) => {
      if (answer.start.includes(' 200 ') && answer.body.includes('Update Success')) drive.peerDone();
      else drive.fail(describe(answer));
    });
  };
  if (credentials?.scheme === 'digest') {
    exchange = new Exchange(drive, port, [request('GET', undefined, [])], (answer) => {
      const challenge = answer.headers.get('www-authenticate') ?? '';
      if (!challenge.startsWith('Digest')) {
        drive.fail(`the device asks for no Digest: ${describe(answer)} ${challenge}`.trim());
        return;
      }
      exchange.close();
      upload(digest(challenge, formPath, credentials));
    });
  } else {
    upload(credentials && `Basic ${btoa(`${credentials.user}:${credentials.password}`)}`);
  }
  return { step: () => exchange.step(), close: () => exchange.close() };
}

/** One request on a connection of its own, and its answer. */
class Exchange {
  private readonly connection: PeerConnection;
  private readonly pump: Pump;
  private answered = false;

  constructor(
    private readonly drive: Drive,
    port: number,
    parts: readonly Uint8Array[],
    whenAnswered: (answer: HttpMessage) => void,
  ) {
    this.connection = drive.network.connectTcp(port);
    this.pump = new Pump(this.connection, parts, drive.options.chunk);
    drive.expectWithin(ANSWER_US, 'the device does not answer');
    let text = '';
    const look = (ended: boolean): void => {
      const answer = readMessage(text, ended);
      if (!answer || this.answered) return;
      this.answered = true;
      whenAnswered(answer);
    };
    this.connection.onData((data) => {
      text = (text + Buffer.from(data).toString('latin1')).slice(0, 65_536);
      drive.expectWithin(ANSWER_US, 'the device does not answer');
      look(false);
    });
    this.connection.onState((state) => {
      if (state === 'open' || state === 'connecting') return;
      look(true);
      if (!this.answered) drive.fail(`the connection ended without an answer (${state})`);
    });
  }

  step(): void {
    if (this.pump.step() && !this.answered) this.drive.expectWithin(ANSWER_US, 'the device does not answer');
  }

  close(): void {
    this.answered = true;
    this.connection.reset();
  }
}

function multipart({ options }: Drive): Uint8Array[] {
  const [field, file] = options.target === 'fs' ? ['filesystem', 'littlefs.bin'] : ['firmware', 'firmware.bin'];
  const before = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${field}"; filename="${file}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  return [Buffer.from(before), options.image, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)];
}

/** RFC 7616 with MD5 and `qop=auth`. */
function digest(challenge: string, uri: string, { user, password }: { user: string; password: string }): string {
  const value = (name: string): string => new RegExp(`\\b${name}="([^"]*)"`).exec(challenge)?.[1] ?? '';
  const [realm, nonce, opaque] = [value('realm'), value('nonce'), value('opaque')];
  const h1 = md5(`${user}:${realm}:${password}`);
  const response = md5(`${h1}:${nonce}:00000001:${CNONCE}:auth:${md5(`POST:${uri}`)}`);
  return (
    `Digest username="${user}",realm="${realm}",nonce="${nonce}",uri="${uri}",cnonce="${CNONCE}",` +
    `nc=00000001,algorithm=MD5,response="${response}",qop="auth",opaque="${opaque}"`
  );
}

/** The first line, and the body of an answer that tells an error in it. */
const describe = ({ start, body }: HttpMessage): string => {
  const text = body
    .replace(/<[^>]*>/g, ' ')
    .trim()
    .slice(0, 200);
  return start.includes(' 200 ') ? text : `${start}: ${text}`;
};
