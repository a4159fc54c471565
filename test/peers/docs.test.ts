/** Every command of the documents works as it stands there: bash runs them with the built command line, on the default ports. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { docBlocks, runDocument } from '../support/doc-session.ts';

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
/** Documents whose `sh` fences are commands to be run; the others show terminal sessions of other machines. */
const RUN = readdirSync(docs, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md') && name !== 'serve.md' && !name.startsWith('site'))
  .filter((name) => docBlocks(readFileSync(`${docs}${name}`, 'utf8')).length > 0)
  .sort();

describe('documents', () => {
  test('there are some with commands', () => {
    expect(RUN).toContain('web-updates.md');
  });

  test.each(RUN)('%s', async (name) => {
    const markdown = readFileSync(`${docs}${name}`, 'utf8');
    expect(await runDocument(markdown)).toBe(docBlocks(markdown).length);
  });
});
