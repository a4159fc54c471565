/** Forms of one's own for the web updater. Source: spec chapter 06, row 37; chapter 04 §12. */
import { formWithFile, request } from './peers.ts';
import type { Scenario } from './scenario.ts';

const SIZE = 40_000;
const SMALL = 6_000;
const CREDENTIALS = { user: 'admin', password: 'secret' };
const basic = ({ user, password }: typeof CREDENTIALS): readonly [string, string] => [
  'Authorization',
  `Basic ${btoa(`${user}:${password}`)}`,
];
const UNAUTHORIZED = 'HTTP/1.1 401 Unauthorized';

export const formWithoutFile: Scenario = {
  name: 'form-without-file',
  rows: [37],
  title: 'a form of one’s own always gets 401 Unauthorized, even where no password is set',
  threads: '#4424',
  cause:
    'the update server looks at user and password when a file begins, at no other time; before that it takes everybody for a ' +
    'stranger. A form that is sent without a file part (no enctype="multipart/form-data", or the bare bytes as the body) is ' +
    'answered 401, right password or not.',
  cure: 'send multipart/form-data with a file in it, and user and password where they are set',
  async play(stage) {
    const image = stage.image({ version: '2.0', size: SIZE });
    // A body without a form is kept in memory, so it must be small to be answered at all.
    const small = stage.image({ version: '2.0', size: SMALL });
    const make = (credentials: boolean) =>
      stage.device(
        { image: stage.image({ version: '1.0', size: SIZE }), ...(credentials ? { http: CREDENTIALS } : {}) },
        'web',
      );
    const form = formWithFile('firmware', image);
    const bodies = {
      'the name of the file only': ['application/x-www-form-urlencoded', 'firmware=firmware.bin'],
      'the bare bytes': ['application/octet-stream', small],
    } as const;
    for (const credentials of [false, true]) {
      const device = await make(credentials);
      for (const [what, [type, body]] of Object.entries(bodies)) {
        stage.step(`${credentials ? 'user and password are set and right' : 'no password is set'}; ${what} as ${type}`);
        const headers = [['Content-Type', type] as const, ...(credentials ? [basic(CREDENTIALS)] : [])];
        const answer = await request(stage, device, 'POST /update HTTP/1.1', headers, body);
        stage.symptom(answer?.start === UNAUTHORIZED, `the browser is told "${answer?.start}"`);
      }
      stage.evidence(
        device.events.recent('http.upload').length === 0 && device.events.recent('update.begin').length === 0,
        'the server saw no file begin, so it never looked at user and password',
      );
    }
    stage.step('multipart/form-data with a file, and a wrong password');
    const device = await make(true);
    const type = ['Content-Type', form.type] as const;
    const wrong = basic({ ...CREDENTIALS, password: 'wrong' });
    const refused = await request(stage, device, 'POST /update HTTP/1.1', [type, wrong], form.body);
    stage.evidence(refused?.start === UNAUTHORIZED, 'a wrong password is 401 as well, after the whole file');
    stage.step('the same with the right one');
    const taken = await request(stage, device, 'POST /update HTTP/1.1', [type, basic(CREDENTIALS)], form.body);
    await stage.until(device, 'start of the new version', () => stage.running(device) === '2.0');
    stage.cured(
      taken?.body.includes('Update Success!'),
      'the browser shows "Update Success! Rebooting...", version 2.0 runs',
    );
  },
};
