/** The board's buttons as keys of the terminal. */
import { afterEach, describe, expect, test } from 'vitest';
import { BoardKeys, listenToKeys } from '../../../emulator/cli/terminal-keys.ts';
import { createDevice, type Device } from '../../../emulator/index.ts';
import { startCli } from '../../support/cli.ts';

const open: Device[] = [];
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

async function keyboard(): Promise<{
  board: Device;
  notes: string[];
  quits: () => number;
  press(k: string): Promise<unknown>;
}> {
  const board = await createDevice({ clock: 'virtual' });
  open.push(board);
  await board.powerOn();
  const notes: string[] = [];
  let quits = 0;
  const keys = new BoardKeys(board, { note: (text) => notes.push(text), quit: () => quits++ });
  const press = (text: string): Promise<unknown> => {
    keys.press(text);
    return keys.done();
  };
  return { board, notes, quits: () => quits, press };
}

describe('keys', () => {
  test('r presses reset, f holds FLASH for the resets to come and lets it go', async () => {
    const { board, notes, press } = await keyboard();
    await press('r');
    expect(board.events.recent('reset').map(({ cause }) => cause)).toEqual(['power-on', 'external']);
    await press('f');
    expect(board.state).toEqual({ state: 'running' });
    await press('r');
    expect(board.state).toEqual({ state: 'download' });
    await press('fr');
    expect(board.state).toEqual({ state: 'running' });
    expect(notes).toEqual([
      'FLASH is held: the next reset (r) starts the serial loader',
      'FLASH is let go: the next reset (r) starts from flash',
    ]);
  });

  test('p pulls the plug and puts it back; r without power says so', async () => {
    const { board, notes, press } = await keyboard();
    await press('p');
    expect(board.isOn).toBe(false);
    await press('r');
    expect(notes).toEqual(['power is off: p puts it back']);
    await press('p');
    expect(board.state).toEqual({ state: 'running' });
  });

  test('while a serial host holds RST low, r says so, and the other keys still work', async () => {
    const { board, notes, press } = await keyboard();
    const host = board.serial.connect({ peer: 'host', lines: true, write() {} })!;
    host.setLines({ rts: true });
    await board.advance(1000);
    await press('r');
    expect(notes).toEqual(['a serial host holds RST low: the chip starts when that lets go']);
    expect(board.state).toBeUndefined();
    await press('p');
    expect(board.isOn).toBe(false);
  });

  test('q and Ctrl-C end the run; other keys, and cursor keys with their letters, do nothing', async () => {
    const { board, quits, press } = await keyboard();
    const before = board.events.nextSeq;
    await press('xyz R\r\n');
    await press('\x1b[A');
    await press('\x1bOp');
    expect(board.events.nextSeq).toBe(before);
    await press('q');
    await press('\x03');
    expect(quits()).toBe(2);
  });
});

describe('a terminal', () => {
  test('without one nothing changes: no hint, stdin is left alone', async () => {
    const keys = new BoardKeys({} as Device, { note() {}, quit() {} });
    expect(listenToKeys(keys, { isTTY: false } as never)).toBeUndefined();
    const command = startCli(['run', '--ota-port', '0', '--http-port', '0', '--until', 'app.start']);
    const { code, stdout } = await command.finished;
    expect(code).toBe(0);
    expect(stdout).not.toContain('keys:');
  });
});
