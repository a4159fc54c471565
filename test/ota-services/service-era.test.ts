/** Which release did what: the switch that scenarios of older cores turn. Source: spec chapter 06. */
import { describe, expect, test } from 'vitest';
import { CORE_VERSIONS } from '../../eboot/eras.ts';
import { OtaSession } from '../../ota-services/arduino-ota/session.ts';
import { PRESENT_ERA, type ServiceEra, serviceEraOf } from '../../ota-services/service-era.ts';

/** The last release of one kind and the first of the next, for each property that changed once. */
const changes: readonly (readonly [keyof ServiceEra, last: string, first: string])[] = [
  ['gzip', '2.6.3', '2.7.0'],
  ['checksStraps', '2.3.0', '2.4.0'],
  ['forgetsMd5', '2.7.4', '3.0.0'],
  ['survivesBadSignature', '2.6.3', '2.7.0'],
  ['sendsSketchMd5', '2.3.0', '2.4.0'],
];

describe('eras of the services', () => {
  test('the newest releases and master are the present', () => {
    for (const core of ['3.0.0', '3.1.2', 'master']) expect(serviceEraOf(core)).toEqual(PRESENT_ERA);
  });

  test('every release that has an eboot has services', () => {
    for (const core of CORE_VERSIONS) expect(() => serviceEraOf(core), core).not.toThrow();
  });

  test.each(changes)('%s', (property, last, first) => {
    expect(serviceEraOf(last)[property]).toBe(false);
    expect(serviceEraOf(first)[property]).toBe(true);
  });

  test('the mode patch changed twice, signatures crashed for one series only', () => {
    expect(['2.4.1', '2.4.2', '2.6.3', '2.7.0'].map((core) => serviceEraOf(core).patchesMode)).toEqual([
      'nothing',
      'everything',
      'everything',
      'sketches',
    ]);
    expect(serviceEraOf('2.5.2')).toMatchObject({ legacySignatures: true, survivesBadSignature: true });
    expect(serviceEraOf('2.6.0')).toMatchObject({ legacySignatures: false, survivesBadSignature: false });
  });

  test.each(['', '2', '2.7', 'v2.7.4', '2.7.4-dev', 'master '])('"%s" is no release', (core) => {
    expect(() => serviceEraOf(core)).toThrow(RangeError);
  });
});

test('a challenge with another digest has its length, and answers of MD5 length are ignored', () => {
  const session = new OtaSession((text) => text.length.toString(16).padStart(64, '0'));
  session.passwordHash = 'x';
  const from = { address: '192.168.1.10', port: 50_000 };
  const send = (text: string) => session.receive(new TextEncoder().encode(text), from, 1);
  const invitation = `0 9 1000 ${'0'.repeat(32)}\n`;
  expect(send(invitation)).toContainEqual({ do: 'reply', text: `AUTH ${'0'.repeat(63)}1`, to: from });
  expect(send(`200 ${'a'.repeat(32)} ${'b'.repeat(32)}\n`).map((effect) => effect.do)).toEqual(['tell']);
  expect(session.state).toBe('idle');
  send(invitation);
  const response = `x:${'0'.repeat(63)}1:${'a'.repeat(64)}`.length.toString(16).padStart(64, '0');
  send(`200 ${'a'.repeat(64)} ${response}\n`);
  expect(session.state).toBe('run-update');
});
