/** A sweep as JUnit XML, for CI: one test for each expectation, and one for each class of outcome that is no whole image. */
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
  const counts = Object.entries(report.verdicts)
    .map(([verdict, count]) => `${verdict} ${count}`)
    .join(', ');
  cases.push(
    `    <testcase classname="${escapeXml(name)}" name="every point was judged" assertions="${report.points}">`,
    `      <system-out>${escapeXml(counts)}</system-out>`,
    '    </testcase>',
  );
  const failures = expectations.filter(({ violations }) => violations > 0).length;
  const tests = expectations.length + 1;
  const totals = `tests="${tests}" failures="${failures}" errors="0" time="${seconds}"`;
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

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (char) => ESCAPES[char]!);
