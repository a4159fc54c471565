/** A sweep as one self-contained HTML page. */
import type { SweepReport } from './report.ts';
import { formatReport } from './report-text.ts';

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (char) => ESCAPES[char]!);

/** The page; it loads nothing. */
export function reportHtml(report: SweepReport): string {
  const title = `Sweep ${report.sweep}`;
  return [
    '<!doctype html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"><title>${escapeHtml(title)}</title></head>`,
    `<body><h1>${escapeHtml(title)}</h1><pre>${escapeHtml(formatReport(report))}</pre></body>`,
    '</html>',
    '',
  ].join('\n');
}
