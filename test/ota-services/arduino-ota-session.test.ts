/** Source: spec chapter 03 §4, §5, §15.1; rows of §14. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OtaSession, type SessionEffect } from '../../ota-services/arduino-ota/session.ts';

const MD5 = 'c33b17e9393c109d161d353058627093';
const uploader = { address: '192.168.1.10', port: 50000 };
const stranger = { address: '192.168.1.66', port: 6666 };
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const md5Hex = (text: string): string => createHash('md5').update(bytes(text)).digest('hex');
const valid = bytes(`0 48266 5000 ${MD5}\n`);

function sessionWith(password?: string): OtaSession {
  const session = new OtaSession(md5Hex);
  if (password !== undefined) session.passwordHash = md5Hex(password);
  return session;
}

function replies(effects: SessionEffect[]): [string, string, number][] {
  return effects.flatMap((effect) => (effect.do === 'reply' ? [[effect.text, effect.to.address, effect.to.port]] : []));
}

function challenge(session: OtaSession, micros = 1234567): string {
  const [reply] = replies(session.receive(valid, uploader, micros));
  return reply![0].slice('AUTH '.length);
}

function answer(password: string, nonce: string, cnonce = 'c'.repeat(32)): Uint8Array {
  return bytes(`200 ${cnonce} ${md5Hex(`${md5Hex(password)}:${nonce}:${cnonce}`)}\n`);
}

describe('without a password', () => {
  test('a valid invitation asks for a run and is not answered by the receive handler', () => {
    const session = sessionWith();
    const effects = session.receive(valid, uploader, 0);
    expect(session.state).toBe('run-update');
    expect(effects).toEqual([
      {
        do: 'tell',
        event: { type: 'ota.invite', peer: '192.168.1.10:50000', command: 0, port: 48266, size: 5000, md5: MD5 },
      },
    ]);
    expect(session).toMatchObject({ command: 0, tcpPort: 48266, size: 5000, md5: MD5, inviter: uploader });
  });

  test('rows 7 to 10: ignored datagrams leave the state idle, and the next valid invitation works', () => {
    for (const text of ['', 'hello', `1 2 3 ${MD5}`, `200 2 3 ${MD5}`, `0\t1\t2\t${MD5}`, `0 1 2 ${MD5}3`]) {
      const session = sessionWith();
      expect(session.receive(bytes(text), stranger, 0)).toEqual([]);
      expect(session.state).toBe('idle');
      session.receive(valid, uploader, 0);
      expect(session.state).toBe('run-update');
      expect(session.inviter).toEqual(uploader);
    }
  });

  test('a datagram ignored for its MD5 has overwritten what is stored; one with another command has not', () => {
    const session = sessionWith();
    session.receive(bytes(`100 7 8 short\n`), stranger, 0);
    expect(session).toMatchObject({ command: 100, tcpPort: 7, size: 8, md5: 'short', inviter: stranger });
    session.receive(bytes(`50 1 2 ${MD5}\n`), uploader, 0);
    expect(session).toMatchObject({ command: 100, tcpPort: 7, size: 8, md5: 'short', inviter: stranger });
  });

  test('row 21: while an update is to run or runs, every datagram is dropped', () => {
    const session = sessionWith();
    session.receive(valid, uploader, 0);
    expect(session.receive(bytes(`100 1 2 ${MD5}\n`), stranger, 0)).toEqual([]);
    expect(session).toMatchObject({ state: 'run-update', command: 0, size: 5000, inviter: uploader });
  });
});

describe('with a password', () => {
  test('row 22: the challenge is AUTH and the MD5 of the microsecond counter; 37 bytes, no newline (§15.1)', () => {
    const session = sessionWith('admin');
    const effects = session.receive(valid, uploader, 1234567);
    expect(replies(effects)).toEqual([['AUTH fcea920f7412b5da7be0cf42b8c93759', '192.168.1.10', 50000]]);
    expect(session.state).toBe('wait-auth');
  });

  test('row 23: the response of §15.1 is right', () => {
    const session = sessionWith('admin');
    session.receive(valid, uploader, 1234567);
    const effects = session.receive(
      bytes('200 ba2419126bfa9b6256159312c6df8d47 0bc44239be415ec27a4f001cd6aa9e94\n'),
      uploader,
      9,
    );
    expect(effects).toEqual([{ do: 'tell', event: { type: 'ota.auth', peer: '192.168.1.10:50000', ok: true } }]);
    expect(session.state).toBe('run-update');
  });

  test('rows 24 and 29: a wrong response is answered to the inviter, whoever sent it, and onError is told 0', () => {
    const session = sessionWith('secret');
    const nonce = challenge(session);
    const effects = session.receive(answer('wrong', nonce), stranger, 0);
    expect(effects).toEqual([
      { do: 'tell', event: { type: 'ota.auth', peer: '192.168.1.66:6666', ok: false } },
      { do: 'reply', text: 'Authentication Failed', to: uploader },
      { do: 'error', code: 0, peer: '192.168.1.10:50000' },
    ]);
    expect(session.state).toBe('idle');
  });

  test('row 29: a right answer from anywhere is accepted', () => {
    const session = sessionWith('secret');
    session.receive(answer('secret', challenge(session)), stranger, 0);
    expect(session).toMatchObject({ state: 'run-update', inviter: uploader });
  });

  test('row 25: an upper-case response is wrong', () => {
    const session = sessionWith('secret');
    const text = String.fromCharCode(...answer('secret', challenge(session)));
    expect(replies(session.receive(bytes(text.toUpperCase()), uploader, 0)).map(([reply]) => reply)).toEqual([
      'Authentication Failed',
    ]);
  });

  test('rows 26 to 28 and 30: anything that is no well-formed answer ends the wait in silence', () => {
    const malformed = (nonce: string): Uint8Array[] => {
      const text = String.fromCharCode(...answer('secret', nonce));
      return [text.replace('\n', '\r\n'), text.replace('200 ', '200  '), `200 ${text.slice(5)}`, '', 'hello'].map(
        bytes,
      );
    };
    for (let variant = 0; variant < malformed('').length; variant++) {
      const session = sessionWith('secret');
      const effects = session.receive(malformed(challenge(session))[variant]!, uploader, 0);
      expect(effects).toEqual([{ do: 'tell', event: { type: 'ota.auth', peer: '192.168.1.10:50000', ok: false } }]);
      expect(session.state).toBe('idle');
    }
  });

  test('row 30: a new invitation in the wait is swallowed; the one after it gets a challenge', () => {
    const session = sessionWith('secret');
    challenge(session);
    expect(replies(session.receive(valid, uploader, 1))).toEqual([]);
    expect(session.state).toBe('idle');
    expect(replies(session.receive(valid, uploader, 2))).toHaveLength(1);
  });

  test('row 31: challenges of two attempts differ', () => {
    const session = sessionWith('secret');
    const first = challenge(session, 1000);
    session.receive(bytes(''), uploader, 1500);
    expect(challenge(session, 2000)).not.toBe(first);
  });

  test('row 32: the empty password is a password', () => {
    const session = sessionWith('');
    expect(session.passwordHash).toBe('d41d8cd98f00b204e9800998ecf8427e');
    session.receive(answer('', challenge(session)), uploader, 0);
    expect(session.state).toBe('run-update');
  });

  test('row 33: with an upper-case hash stored, the right password is wrong', () => {
    const session = sessionWith();
    session.passwordHash = md5Hex('secret').toUpperCase();
    const effects = session.receive(answer('secret', challenge(session)), uploader, 0);
    expect(replies(effects).map(([reply]) => reply)).toEqual(['Authentication Failed']);
  });

  test('row 35: an old answer replayed when idle is ignored, and so is a second answer to one nonce', () => {
    const session = sessionWith('secret');
    const nonce = challenge(session);
    session.receive(answer('wrong', nonce), uploader, 0);
    expect(session.receive(answer('secret', nonce), uploader, 0)).toEqual([]);
    expect(session.state).toBe('idle');
  });
});

describe('invariant: whatever datagrams come, in whatever state', () => {
  const anyDatagram = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.constantFrom(
      valid,
      bytes(`100 1 2 ${MD5}`),
      bytes(`X${MD5}`),
      bytes(`200 ${'c'.repeat(32)} ${'r'.repeat(32)}\n`),
      bytes(`200 ${'c'.repeat(31)} ${'r'.repeat(32)}\n`),
      bytes('hello'),
      bytes(''),
    ),
  );

  test('nothing throws, and a reply goes only to an accepted invitation or a well-formed wrong answer', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(anyDatagram, { maxLength: 20 }), (password, datagrams) => {
        const session = password ? sessionWith('secret') : sessionWith();
        for (const [index, datagram] of datagrams.entries()) {
          const before = session.state;
          const effects = session.receive(datagram, uploader, index);
          const sent = replies(effects).map(([text]) => text);
          if (before === 'run-update') expect(effects).toEqual([]);
          if (before === 'idle' && session.state === 'idle') expect(effects).toEqual([]);
          if (before === 'idle' && session.state === 'wait-auth')
            expect(sent).toEqual([expect.stringMatching(/^AUTH [0-9a-f]{32}$/)]);
          if (before === 'idle' && session.state === 'run-update') expect(sent).toEqual([]);
          // Nobody here knows the password, so the wait always ends idle.
          if (before === 'wait-auth') {
            expect(session.state).toBe('idle');
            expect([[], ['Authentication Failed']]).toContainEqual(sent);
          }
          if (session.state === 'run-update' && index % 3 === 2) session.state = 'idle';
        }
      }),
    );
  });

  test('§3.3: an ignored datagram is never looked at again', () => {
    fc.assert(
      fc.property(fc.array(anyDatagram, { maxLength: 8 }), (datagrams) => {
        const session = sessionWith('secret');
        for (const datagram of datagrams) {
          session.receive(datagram, stranger, 0);
          session.state = 'idle';
        }
        const fresh = sessionWith('secret');
        expect(session.receive(valid, uploader, 7)).toEqual(fresh.receive(valid, uploader, 7));
        expect(session).toEqual(fresh);
      }),
    );
  });
});
