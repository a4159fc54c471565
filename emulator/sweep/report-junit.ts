/**
 * A sweep as JUnit XML, for CI: one test for each expectation, which fails where it is broken; one for each verdict and each
 * reason for it that the sweep came upon, with ids to replay, which never fails, as what is bad only an expectation says.
 */
import { classesOf } from './outcomes.ts';
import type { SweepReport } from './report.ts';

const SHOWN_IDS = 20;

export function formatJunit(report: SweepReport): string {
  const { sweep, definition, expectations, seconds } = report;
  const name = `sweep ${definition.path} ${definition.target} ${definition.layout} ${sweep}`;
  const cases = expectations.map(({ rule, checked, violations, ids }) => {
    const head = `    <testcase classname="${escapeXml(name)}" name="${escapeXml(rule)}" assertions="${checked}"`;
    if (violations === 0) return `${head}/>`;
    const list = ids.slice(0, SHOWN_IDS).join('\n');
    const message = `${violations} of ${checked} points break it`;
    return `${head}>\n      <failure message="${escapeXml(message)}">${escapeXml(list)}</failure>\n    </testcase>`;
  });
  cases.push(...verdictCases(report, name));
  const failures = expectations.filter(({ violations }) => violations > 0).length;
  const totals = `tests="${cases.length}" failures="${failures}" errors="0" time="${seconds}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${totals}>`,
    `  <testsuite name="${escapeXml(name)}" ${totals}>`,
    ...cases,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function verdictCases(report: SweepReport, name: string): string[] {
  const listed = report.resultsLeftOut > 0 ? ' listed' : '';
  const show = (test: string, points: number, lines: readonly string[]): string =>
    [
      `    <testcase classname="${escapeXml(name)}" name="${escapeXml(test)}" assertions="${points}">`,
      `      <system-out>${escapeXml(lines.join('\n'))}</system-out>`,
      '    </testcase>',
    ].join('\n');
  const whole = (['old', 'new'] as const)
    .filter((verdict) => report.verdicts[verdict] > 0)
    .map((verdict) => show(`verdict ${verdict}`, report.verdicts[verdict], [`${report.verdicts[verdict]} points`]));
  const others = classesOf(report).map(({ verdict, reason, results }) =>
    show(`verdict ${verdict}: ${reason}`, results.length, [
      `${results.length} points${listed}`,
      ...results.slice(0, SHOWN_IDS).map(({ id }) => id),
    ]),
  );
  return [...whole, ...others];
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
  '\t': '&#9;',
};
/** XML 1.0 has no way to say these. */
const NO_XML = /[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

const escapeXml = (text: string): string =>
  text.replace(NO_XML, '\ufffd').replace(/[&<>"\n\t]/g, (char) => ESCAPES[char]!);
