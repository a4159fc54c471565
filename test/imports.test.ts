/** The house rule of design.md §2: imports go one way, and Node's built-ins stay at the edge. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['assembly', 'flash', 'eboot', 'ota-services', 'emulator'] as const;

/** Each folder may import itself and these. */
const ALLOWED: Record<string, readonly string[]> = {
  assembly: [],
  flash: ['assembly'],
  eboot: ['assembly', 'flash'],
  'ota-services': ['flash'],
  emulator: ['assembly', 'flash', 'eboot', 'ota-services'],
};

const sources = FOLDERS.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.startsWith('build'))
    .map((name) => join(folder, name)),
);

const importsOf = (file: string): string[] =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map(
    (match) => match[1]!,
  );

describe('imports', () => {
  test('every folder imports only folders to its left', () => {
    expect(sources.length).toBeGreaterThan(20);
    const wrong: string[] = [];
    for (const file of sources) {
      const home = file.split('/')[0]!;
      for (const target of importsOf(file).filter((name) => name.startsWith('.'))) {
        const folder = relative(root, normalize(join(root, dirname(file), target))).split('/')[0]!;
        if (folder !== home && !ALLOWED[home]!.includes(folder)) wrong.push(`${file} -> ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("Node's built-ins and packages appear only in emulator/ and the kernel loader", () => {
    const wrong = sources
      .filter((file) => !file.startsWith('emulator/') && file !== 'assembly/host/load.ts')
      .flatMap((file) =>
        importsOf(file)
          .filter((name) => !name.startsWith('.'))
          .map((name) => `${file} -> ${name}`),
      );
    expect(wrong).toEqual([]);
  });

  test('no module takes part in an import cycle', () => {
    const graph = new Map(
      sources.map((file) => [
        file,
        importsOf(file)
          .filter((name) => name.startsWith('.') && name.endsWith('.ts'))
          .map((name) => normalize(join(dirname(file), name))),
      ]),
    );
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: string[]): void => {
      if (path.includes(file)) {
        cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
        return;
      }
      if (done.has(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of graph.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });
});
