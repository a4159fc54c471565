/**
 * The scenario table, spec chapter 02 §13, row by row. What concerns eboot and the restart is checked here at the level of
 * the written command and the staged bytes.
 */
import { expect, test } from 'vitest';
import { beginRows } from './updater-rows/begin.ts';
import { endRows } from './updater-rows/end.ts';
import type { Row } from './updater-rows/row.ts';
import { signatureRows } from './updater-rows/signature.ts';
import { writeRows } from './updater-rows/write.ts';

const rows: Row[] = [...beginRows, ...writeRows, ...endRows, ...signatureRows].sort((a, b) => a.row - b.row);

test('the table is whole: rows 1 to 76, each once', () => {
  expect(rows.map(({ row }) => row)).toEqual(Array.from({ length: 76 }, (_, i) => i + 1));
});

for (const { row, name, run } of rows) test(`row ${row}: ${name}`, run);
