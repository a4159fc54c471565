import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FlashFile, FlashFileError } from '../../emulator/flash-file.ts';

const CAPACITY = 0x80000;
const never = (error: Error): never => {
  throw error;
};

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-flash-'));
  path = join(folder, 'chip.bin');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a chip in a file', () => {
  test('a new file is the blank chip, whole, and nothing else is left in the folder', () => {
    const { file, content, made } = FlashFile.open(path, CAPACITY, never);
    expect(made).toBe(true);
    expect(content.every((byte) => byte === 0xff)).toBe(true);
    file.close();
    expect(readdirSync(folder)).toEqual(['chip.bin']);
    expect(readFileSync(path).length).toBe(CAPACITY);
  });

  test('the file shows each change at once, and keeps it', () => {
    const { file } = FlashFile.open(path, CAPACITY, never);
    file.write(0x1234, Uint8Array.of(1, 2, 3));
    expect([...readFileSync(path).subarray(0x1233, 0x1238)]).toEqual([0xff, 1, 2, 3, 0xff]);
    file.close();
    const again = FlashFile.open(path, CAPACITY, never);
    expect(again.made).toBe(false);
    expect([...again.content.subarray(0x1234, 0x1237)]).toEqual([1, 2, 3]);
    again.file.close();
  });

  test('a file of another size is refused with both sizes, and is not touched', () => {
    writeFileSync(path, new Uint8Array(0x100000));
    expect(() => FlashFile.open(path, CAPACITY, never)).toThrow(/1048576 bytes.*524288.*--flash-size 1M/);
    writeFileSync(path, 'hello');
    expect(() => FlashFile.open(path, CAPACITY, never)).toThrow(/holds 5 bytes/);
    expect(readFileSync(path, 'utf8')).toBe('hello');
    expect(existsSync(`${path}.lock`)).toBe(false);
  });

  test('a second device on the same file is refused, also through another name', () => {
    const { file } = FlashFile.open(path, CAPACITY, never);
    expect(() => FlashFile.open(path, CAPACITY, never)).toThrow(FlashFileError);
    expect(() => FlashFile.open(join(folder, '.', 'chip.bin'), CAPACITY, never)).toThrow(/in use/);
    file.close();
    FlashFile.open(path, CAPACITY, never).file.close();
  });

  test('the lock of a living process is respected, that of a dead one taken over', async () => {
    const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    writeFileSync(`${path}.lock`, `${other.pid}\n`);
    expect(() => FlashFile.open(path, CAPACITY, never)).toThrow(new RegExp(`process id ${other.pid}`));
    const gone = new Promise((resolve) => other.once('exit', resolve));
    other.kill();
    await gone;
    const { file } = FlashFile.open(path, CAPACITY, never);
    expect(readFileSync(`${path}.lock`, 'utf8')).toMatch(new RegExp(`^${process.pid} `));
    file.close();
    expect(readdirSync(folder)).toEqual(['chip.bin']);
  });

  test('a process id that now belongs to another program does not keep the file', () => {
    writeFileSync(`${path}.lock`, `${process.ppid} 1\n`);
    if (!existsSync('/proc/self/stat')) return; // start times are known on Linux only
    FlashFile.open(path, CAPACITY, never).file.close();
  });

  test('an unreadable lock (from a writer that was cut off) does not block the file for ever', () => {
    writeFileSync(`${path}.lock`, '');
    FlashFile.open(path, CAPACITY, never).file.close();
  });

  test('a folder that does not exist is named', () => {
    expect(() => FlashFile.open(join(folder, 'no', 'chip.bin'), CAPACITY, never)).toThrow(/folder does not exist/);
  });

  test('a disk that is full when the file is made: a clear error, and no half-made chip', () => {
    if (!existsSync('/dev/full')) return; // Linux only
    expect(() => FlashFile.open('/dev/full', CAPACITY, never)).toThrow(FlashFileError);
  });
});
