/** Rows of the scenario table, spec chapter 03 §14, that end before a connection: invitation, authentication, refusal. */
import { describe, expect, test } from 'vitest';

import { imageByRule, md5Hex, OtaBench, type OtaBenchOptions, PEER } from '../support/ota-bench.ts';

const image = imageByRule(3640);
const MD5 = md5Hex(image);
const SPACE = 'ERR: ERROR[4]: Not Enough Space\n';
const SIZE = 'ERR: ERROR[5]: Bad Size Given\n';

async function started(options: OtaBenchOptions = {}): Promise<OtaBench> {
  const bench = new OtaBench(options);
  await bench.advance(5);
  return bench;
}

const withPassword = (password: string): OtaBenchOptions => ({ setup: (ota) => ota.setPassword(password) });

/** Sends one datagram with nobody listening on TCP and gives a quarter of a second. */
async function answersTo(text: string, options: OtaBenchOptions = {}): Promise<string[]> {
  const bench = await started(options);
  const uploader = bench.uploader(image).refuse();
  uploader.invite(text);
  await bench.advance(250);
  return uploader.replies;
}

describe('invitations', () => {
  test('row 3: no reply until the sketch calls handle()', async () => {
    const bench = await started({ loop: false });
    await bench.ota.begin(false);
    const uploader = bench.uploader(image).refuse().invite();
    await bench.advance(5000);
    expect(uploader.replies).toEqual([]);
    void bench.ota.handle();
    await bench.advance(10);
    expect(uploader.replies).toEqual(['OK']);
  });

  test.each([
    ['row 4: no newline', `0 4000 3640 ${MD5}`],
    ['row 5: CR LF', `0 4000 3640 ${MD5}\r\n`],
    ['row 6: many spaces', `  0   4000   3640   ${MD5}\n`],
    ['row 37: upper-case md5', `0 4000 3640 ${MD5.toUpperCase()}\n`],
  ])('%s is accepted', async (_row, text) => {
    expect(await answersTo(text)).toEqual(['OK']);
  });

  test.each([
    ['row 7: tabs', `0\t4000\t3640\t${MD5}\n`],
    ['row 8: command 1', `1 4000 3640 ${MD5}\n`],
    ['row 8: command 99', `99 4000 3640 ${MD5}\n`],
    ['row 8: command 101', `101 4000 3640 ${MD5}\n`],
    ['row 8: command 200', `200 4000 3640 ${MD5}\n`],
    ['row 9: md5 of 31 characters', `0 4000 3640 ${MD5.slice(1)}\n`],
    ['row 9: md5 of 33 characters', `0 4000 3640 ${MD5}0\n`],
    ['row 10: empty', ''],
    ['row 72: negative size', `0 4000 -5 ${MD5}\n`],
  ])('%s gets no reply and no callback; the next valid invitation works', async (_row, text) => {
    const bench = await started();
    const uploader = bench.uploader(image).refuse().invite(text);
    await bench.advance(500);
    expect(uploader.replies).toEqual([]);
    expect(bench.lines).toEqual([]);
    uploader.invite();
    await bench.advance(10);
    expect(uploader.replies).toEqual(['OK']);
  });

  test.each([
    ['row 11: X and 32 characters', `X${MD5}`, SIZE],
    ['row 12: size 0', `0 4000 0 ${MD5}\n`, SIZE],
    ['row 13: larger than the room', `0 4000 1794049 ${MD5}\n`, SPACE],
    ['row 14: size of 11 digits', `0 4000 99999999999 ${MD5}\n`, SPACE],
    ['row 15: size of 16 digits', `0 4000 1234567890123456 ${MD5}\n`, SIZE],
    ['row 16: larger than the file system', `100 4000 2072577 ${MD5}\n`, SPACE],
  ])('%s is refused in one datagram, with Error[1], without a connection', async (_row, text, reply) => {
    const bench = await started();
    const uploader = bench.uploader(image).invite(text);
    await bench.advance(1000);
    expect(uploader.replies).toEqual([reply]);
    expect(bench.lines).toEqual(['Error[1]']);
    expect(uploader.connection).toBeUndefined();
    expect(bench.eventsOf('ota.end')).toEqual([]);
    uploader.invite();
    await bench.until(() => bench.restart !== undefined, 'the update after a refusal');
  });

  test('row 13: the largest sketch that fits is accepted', async () => {
    expect(await answersTo(`0 4000 1794048 ${MD5}\n`)).toEqual(['OK']);
    expect(await answersTo(`100 4000 2072576 ${MD5}\n`)).toEqual(['OK']);
  });

  test('row 71: two valid invitations back to back make one OK and one update', async () => {
    const bench = await started();
    const uploader = bench.uploader(image).invite().invite();
    await bench.until(() => bench.restart !== undefined, 'the restart');
    expect(uploader.replies).toEqual(['OK']);
    expect(bench.lines.filter((line) => line.startsWith('Start'))).toHaveLength(1);
  });
});

describe('authentication', () => {
  test('rows 22 and 23: challenge of 37 bytes at once, right answer, OK from handle(), update', async () => {
    const bench = await started(withPassword('secret'));
    const uploader = bench.uploader(image, { password: 'secret' }).invite();
    await bench.until(() => bench.restart !== undefined, 'the restart');
    expect(uploader.replies).toEqual([expect.stringMatching(/^AUTH [0-9a-f]{32}$/), 'OK']);
    expect(bench.eventsOf('ota.auth')).toMatchObject([{ ok: true }]);
  });

  test('row 22: the challenge comes from the network context, also while the sketch does not call handle()', async () => {
    const bench = await started({ ...withPassword('secret'), loop: false });
    await bench.ota.begin(false);
    const uploader = bench.uploader(image).invite();
    await bench.advance(1);
    expect(uploader.replies).toHaveLength(1);
  });

  test.each([
    [
      'row 24: a wrong response',
      (c: string, r: string) => `200 ${c} ${r.replace(/./, (x) => (x === '0' ? '1' : '0'))}\n`,
    ],
    ['row 25: an upper-case response', (c: string, r: string) => `200 ${c} ${r.toUpperCase()}\n`],
  ])('%s gets Authentication Failed and Error[0], and the state is idle', async (_row, answer) => {
    const bench = await started(withPassword('secret'));
    const uploader = bench.uploader(image).invite();
    await bench.advance(10);
    const nonce = uploader.replies[0]!.slice(5);
    const cnonce = md5Hex('c');
    uploader.send(answer(cnonce, md5Hex(`${md5Hex('secret')}:${nonce}:${cnonce}`)));
    await bench.advance(10);
    expect(uploader.replies.slice(1)).toEqual(['Authentication Failed']);
    expect(bench.lines).toEqual(['Error[0]']);
    expect(bench.eventsOf('ota.error')).toEqual([
      expect.objectContaining({ code: 0, name: 'AUTH', peer: expect.stringMatching(`^${PEER}:`) }),
    ]);
    uploader.invite();
    await bench.advance(10);
    expect(uploader.replies.at(-1)).toMatch(/^AUTH /);
  });

  test.each([
    ['row 26: CR LF', (c: string, r: string) => `200 ${c} ${r}\r\n`],
    ['row 27: cnonce of 31', (c: string, r: string) => `200 ${c.slice(1)} ${r}\n`],
    ['row 28: two spaces', (c: string, r: string) => `200  ${c} ${r}\n`],
  ])('%s: silence, no callback, and the state is idle', async (_row, answer) => {
    const bench = await started(withPassword('secret'));
    const uploader = bench.uploader(image).invite();
    await bench.advance(10);
    const cnonce = md5Hex('c');
    uploader.send(answer(cnonce, md5Hex(`${md5Hex('secret')}:${uploader.replies[0]!.slice(5)}:${cnonce}`)));
    await bench.advance(500);
    expect(uploader.replies).toHaveLength(1);
    expect(bench.lines).toEqual([]);
    uploader.invite();
    await bench.advance(10);
    expect(uploader.replies).toHaveLength(2);
  });

  test.each([
    ['right', 'secret', 'OK'],
    ['wrong', 'guess', 'Authentication Failed'],
  ])(
    'rows 24 and 29: a %s answer from a stranger is judged, and the inviter gets the reply',
    async (_, password, reply) => {
      const bench = await started(withPassword('secret'));
      const uploader = bench.uploader(image).invite();
      await bench.advance(10);
      const cnonce = md5Hex('c');
      const stranger = bench.network.udp('192.168.1.66');
      stranger.send(
        `200 ${cnonce} ${md5Hex(`${md5Hex(password)}:${uploader.replies[0]!.slice(5)}:${cnonce}`)}\n`,
        8266,
      );
      await bench.advance(10);
      expect(uploader.replies.slice(1)).toEqual([reply]);
      expect(stranger.received).toEqual([]);
    },
  );

  test('row 30: without an answer the device waits for ever; a new invitation only ends the wait', async () => {
    const bench = await started(withPassword('secret'));
    const dead = bench.uploader(image).invite();
    await bench.advance(60_000);
    const next = bench.uploader(image).invite();
    await bench.advance(100);
    expect(next.replies).toEqual([]);
    next.invite();
    await bench.advance(100);
    expect(next.replies).toEqual([expect.stringMatching(/^AUTH /)]);
    expect(dead.replies).toHaveLength(1);
  });

  test('row 30: a right answer that comes 20 s late is accepted', async () => {
    const bench = await started(withPassword('secret'));
    const uploader = bench.uploader(image).invite();
    await bench.advance(20_000);
    const cnonce = md5Hex('c');
    uploader.send(`200 ${cnonce} ${md5Hex(`${md5Hex('secret')}:${uploader.replies[0]!.slice(5)}:${cnonce}`)}\n`);
    await bench.advance(10);
    expect(uploader.replies.at(-1)).toBe('OK');
  });

  test('row 31: two challenges differ', async () => {
    const bench = await started(withPassword('secret'));
    const uploader = bench.uploader(image).invite();
    await bench.advance(10);
    uploader.send('');
    uploader.invite();
    await bench.advance(10);
    expect(uploader.replies).toHaveLength(2);
    expect(uploader.replies[0]).not.toBe(uploader.replies[1]);
  });

  test('row 32: setPassword("") asks, and the empty password passes', async () => {
    const bench = await started(withPassword(''));
    const uploader = bench.uploader(image, { password: '' }).invite();
    await bench.advance(10);
    expect(uploader.replies).toEqual([expect.stringMatching(/^AUTH /), 'OK']);
  });

  test('row 33: setPasswordHash in upper case cannot be matched', async () => {
    const bench = await started({ setup: (ota) => ota.setPasswordHash(md5Hex('secret').toUpperCase()) });
    const uploader = bench.uploader(image, { password: 'secret' }).invite();
    await bench.advance(10);
    expect(uploader.replies[1]).toBe('Authentication Failed');
  });

  test('setPasswordHash of a lower-case hash is that password, and an empty one is none', async () => {
    const hashed = await started({ setup: (ota) => ota.setPasswordHash(md5Hex('secret')) });
    const uploader = hashed.uploader(image, { password: 'secret' }).invite();
    await hashed.advance(10);
    expect(uploader.replies[1]).toBe('OK');
    expect(await answersTo(`0 1 3640 ${MD5}`, { setup: (ota) => ota.setPasswordHash('') })).toEqual(['OK']);
  });

  test('row 34: the first password counts', async () => {
    const bench = await started({
      setup: (ota) => {
        ota.setPassword('a');
        ota.setPassword('b');
        ota.setPasswordHash(md5Hex('c'));
      },
    });
    const uploader = bench.uploader(image, { password: 'a' }).invite();
    await bench.advance(10);
    expect(uploader.replies[1]).toBe('OK');
  });

  test('row 35: an answer replayed when idle is ignored', async () => {
    const bench = await started(withPassword('secret'));
    const uploader = bench.uploader(image).invite();
    await bench.advance(10);
    const cnonce = md5Hex('c');
    const answer = `200 ${cnonce} ${md5Hex(`wrong:${uploader.replies[0]!.slice(5)}:${cnonce}`)}\n`;
    uploader.send(answer);
    await bench.advance(10);
    uploader.send(answer);
    await bench.advance(500);
    expect(uploader.replies).toEqual([expect.stringMatching(/^AUTH /), 'Authentication Failed']);
    expect(bench.lines).toEqual(['Error[0]']);
  });

  test('row 73: size 0 is refused only after the right answer', async () => {
    const bench = await started(withPassword('secret'));
    const uploader = bench.uploader(image, { password: 'secret', size: 0 }).invite();
    await bench.advance(300);
    expect(uploader.replies).toEqual([expect.stringMatching(/^AUTH /), SIZE]);
  });

  test('an asynchronous onError in the network context delays nothing, and what it throws reaches handle()', async () => {
    const bench = await started({
      ...withPassword('secret'),
      loop: false,
    });
    bench.ota.onError(async (code) => {
      await bench.life.sleep(100_000, 'device');
      throw new Error(`sketch failed after error ${code}`);
    });
    await bench.ota.begin(false);
    bench.uploader(image, { password: 'guess' }).invite();
    await bench.advance(10);
    await bench.ota.handle();
    await bench.advance(2000);
    await expect(bench.ota.handle()).rejects.toThrow('sketch failed after error 0');
    await bench.ota.handle();
  });
});

describe('settings (§2)', () => {
  test('row 70 and rules 1 and 4: first hostname, port and password win, also over end() and begin()', async () => {
    const bench = await started({ loop: false });
    const { ota } = bench;
    expect(ota.getHostname()).toBe('');
    ota.setHostname('');
    ota.setHostname(null);
    ota.setHostname('a');
    ota.setHostname('b');
    ota.setPort(0);
    ota.setPort(9000);
    ota.setPort(9001);
    await ota.begin(false);
    ota.setHostname('c');
    ota.end();
    ota.setHostname('d');
    ota.setPort(9002);
    await ota.begin(false);
    expect(ota.getHostname()).toBe('a');
    expect(ota.address?.port).toBe(9000);
  });

  test('without settings the name is made of the chip id, and the port is 8266', async () => {
    const bench = await started({ loop: false });
    await bench.ota.begin(false);
    expect(bench.ota.getHostname()).toBe('esp8266-c0ffee');
    expect(bench.ota.address).toEqual({ address: '192.168.1.50', port: 8266 });
    expect(bench.debug).toEqual(['OTA server at: esp8266-c0ffee.local:8266\n']);
  });

  test('a port that the system chose is kept over end() and begin()', async () => {
    const bench = await started({ loop: false, defaultPort: 0 });
    await bench.ota.begin(false);
    const first = bench.ota.address;
    expect(first?.port).toBeGreaterThan(0);
    bench.ota.end();
    expect(bench.ota.address).toBeUndefined();
    await bench.ota.begin(false);
    expect(bench.ota.address).toEqual(first);
  });

  test('begin() with the port taken does nothing, and a later one tries again', async () => {
    const mdns: string[] = [];
    const bench = await started({ loop: false, mdns: recorder(mdns) });
    const { network } = bench;
    const blocker = await network.forDevice(bench.life).bindUdp(8266);
    await bench.ota.begin();
    expect(bench.ota.address).toBeUndefined();
    expect([mdns, bench.debug]).toEqual([[], []]);
    blocker.close();
    await bench.ota.begin();
    expect(bench.ota.address?.port).toBe(8266);
  });

  test('begin() when begun changes nothing; end() when not begun neither', async () => {
    const mdns: string[] = [];
    const bench = await started({ loop: false, mdns: recorder(mdns) });
    bench.ota.end();
    await bench.ota.begin();
    await bench.ota.begin();
    expect(mdns).toEqual(['begin esp8266-c0ffee', 'arduino 8266 no']);
    expect(bench.debug).toHaveLength(1);
  });

  test('with a password the service says so', async () => {
    const mdns: string[] = [];
    const bench = await started({ ...withPassword('x'), loop: false, mdns: recorder(mdns) });
    await bench.ota.begin();
    expect(mdns).toEqual(['begin esp8266-c0ffee', 'arduino 8266 yes']);
    await bench.ota.handle();
    expect(mdns.at(-1)).toBe('update');
  });

  test('row 57: begin(false) leaves mDNS alone, and OTA works', async () => {
    const mdns: string[] = [];
    const bench = await started({ mdns: recorder(mdns), useMdns: false });
    bench.uploader(image).invite();
    await bench.until(() => bench.restart !== undefined, 'the restart');
    expect(mdns).toEqual([]);
  });

  test('row 58: after end() nobody answers, and mDNS has said goodbye; begin() brings it back', async () => {
    const mdns: string[] = [];
    const bench = await started({ loop: false, mdns: recorder(mdns) });
    await bench.ota.begin();
    bench.ota.end();
    expect(mdns.at(-1)).toBe('end');
    expect(bench.debug.at(-1)).toBe('OTA server stopped.\n');
    const uploader = bench.uploader(image).refuse().invite();
    await bench.advance(100);
    await bench.ota.handle();
    expect(uploader.replies).toEqual([]);
    expect(mdns.at(-1)).toBe('end');
    await bench.ota.begin();
    uploader.invite();
    await bench.advance(10);
    void bench.ota.handle();
    await bench.advance(10);
    expect(uploader.replies).toEqual(['OK']);
  });

  test('end() forgets an invitation that was accepted', async () => {
    const bench = await started({ loop: false });
    await bench.ota.begin(false);
    const uploader = bench.uploader(image).refuse().invite();
    await bench.advance(10);
    bench.ota.end();
    await bench.ota.begin(false);
    await bench.ota.handle();
    await bench.advance(100);
    expect(uploader.replies).toEqual([]);
  });

  test('§9: an update that restarts the device says no goodbye', async () => {
    const mdns: string[] = [];
    const bench = await started({ mdns: recorder(mdns), useMdns: true });
    bench.uploader(image).invite();
    await bench.until(() => bench.restart !== undefined, 'the restart');
    expect(mdns).not.toContain('end');
  });

  test('§6: no mDNS step is made while an update runs', async () => {
    const mdns: string[] = [];
    const bench = await started({ mdns: recorder(mdns), useMdns: true });
    bench.uploader(image).invite();
    await bench.until(() => bench.lines.length > 0, 'the start');
    const steps = mdns.length;
    await bench.until(() => bench.restart !== undefined, 'the restart');
    expect(mdns).toHaveLength(steps);
  });

  test('getCommand() tells the last command that an idle device read, accepted or not', async () => {
    const bench = await started();
    expect(bench.ota.getCommand()).toBe(0);
    const uploader = bench.uploader(image).refuse().invite('100 1 2 short');
    await bench.advance(10);
    expect(bench.ota.getCommand()).toBe(100);
    uploader.send('50 1 2 short');
    await bench.advance(10);
    expect(bench.ota.getCommand()).toBe(100);
  });
});

function recorder(calls: string[]): NonNullable<OtaBenchOptions['mdns']> {
  return {
    begin: (hostname) => calls.push(`begin ${hostname}`) > 0,
    addArduinoService: (port, authUpload) => void calls.push(`arduino ${port} ${authUpload ? 'yes' : 'no'}`),
    update: () => void calls.push('update'),
    end: () => void calls.push('end'),
  };
}
