import { describe, expect, test } from 'vitest';
import { SweepInputError } from '../../../emulator/sweep/errors.ts';
import { parseRule } from '../../../emulator/sweep/expect.ts';
import type { Cut } from '../../../emulator/sweep/schedule.ts';

const cut: Cut = { kind: 'power-cut', phase: 'copy', op: 17, point: 'inside' };

describe('rules', () => {
  test.each([
    ['phase=copy => new', true],
    ['phase=staging => old', false],
    ['phase=copy,point=inside => old|new', true],
    ['phase=copy, point = before=>old', false],
    ['op=17 => old', true],
    ['op=0..16 => old', false],
    ['op=10..20,fault=power-cut => brick', true],
    ['fault=reset => new', false],
    ['fault=reset|power-cut => new', true],
    ['=> old|new|brick', true],
    ['phase=staging|copy,op=17..17,point=inside|after,fault=power-cut => stuck', true],
  ])('%s matches: %s', (text, matches) => {
    expect(parseRule(text).matches(cut)).toBe(matches);
  });

  test('the right side lists what is allowed', () => {
    expect(parseRule('phase=copy => old | fs-lost').allowed).toEqual(['old', 'fs-lost']);
  });

  test('blanks do not matter to its text, and its text is the same rule', () => {
    const rule = parseRule('  phase = copy ,op= 1..3=>old|  new ');
    expect(rule.text).toBe('phase=copy,op=1..3 => old|new');
    expect(parseRule(rule.text).text).toBe(rule.text);
  });

  test.each([
    ['phase=copy', 'CONDITIONS => VERDICTS'],
    ['phase=copy => fine', '"fine" is no verdict'],
    ['phase=copy =>', 'is no verdict'],
    ['phase=everywhere => old', 'phase=everywhere'],
    ['phase=any => old', 'phase=any'],
    ['stage=copy => old', '"stage" is no key'],
    ['op=a..b => old', 'op=a..b'],
    ['op=5..3 => old', 'the range is empty'],
    ['point=middle => old', 'point=middle'],
    ['fault=erase-fail => old', 'fault=erase-fail'],
    ['phase => old', 'wants phase=VALUE'],
    ['phase=copy=>old=>new', 'CONDITIONS => VERDICTS'],
  ])('%s is refused: %s', (text, why) => {
    expect(() => parseRule(text)).toThrow(SweepInputError);
    expect(() => parseRule(text)).toThrow(why);
  });
});
