/** The official esptool-js 0.7.0, unmodified, against the loader: with its own stub, and with the ROM alone. */
import { createHash } from 'node:crypto';
import { ESPLoader, type FlashOptions, Transport } from 'esptool-js';
import { afterEach, describe, expect, test } from 'vitest';
import { expectBytes } from '../../support/flash.ts';
import { LoaderBench, noise, padded } from '../../support/loader-bench.ts';
import { WebSerialPort } from '../../support/memory-serial-port.ts';

interface Setup {
  bench: LoaderBench;
  host: ESPLoader;
  /** What esptool-js printed. */
  log: string[];
  transport: Transport;
}

const open: Transport[] = [];
afterEach(async () => {
  for (const transport of open.splice(0)) await transport.disconnect();
});

function connect(bench = new LoaderBench(), baudrate = 115200): Setup {
  const port = new WebSerialPort({
    receive: (bytes) => bench.loader.receive(bytes),
    signals: (dtr, rts) => {
      // Only as much of the wiring as a reset needs: RTS alone holds the chip in reset.
      if (!dtr && rts) bench.restart();
    },
    baud: (rate) => {
      bench.loader.baud = rate;
    },
  });
  bench.onTransmit = (bytes) => port.deliver(bytes);
  const transport = new Transport(port as unknown as ConstructorParameters<typeof Transport>[0]);
  transport.trace = () => {}; // it prints even when it is told not to
  open.push(transport);
  const log: string[] = [];
  const terminal = {
    clean: () => {},
    writeLine: (line: string) => void log.push(line),
    write: (text: string) => void log.push(text),
  };
  return { bench, host: new ESPLoader({ transport, baudrate, terminal }), log, transport };
}

/** No stub: esptool-js has no option for that. */
function withoutStub({ host }: Setup): void {
  host.runStub = () => Promise.resolve(host.chip);
}

const md5 = (data: Uint8Array): string => createHash('md5').update(data).digest('hex');

const writing = (address: number, data: Uint8Array, compress: boolean, eraseAll = false): FlashOptions => ({
  fileArray: [{ data, address }],
  flashSize: 'keep',
  flashMode: 'keep',
  flashFreq: 'keep',
  eraseAll,
  compress,
  calculateMD5Hash: md5,
});

describe('with its stub', () => {
  test('it knows the chip, its MAC address, its crystal and its flash', async () => {
    const { host, log, bench } = connect();
    expect(await host.main('default_reset')).toBe('ESP8266EX');
    expect(log).toEqual(expect.arrayContaining(['Crystal is 26MHz', 'MAC: 5c:cf:7f:11:22:33', 'Stub running...']));
    expect(log).toContain('Flash ID: 1640ef');
    expect(bench.loader.dialect).toBe('stub');
    await host.flashId();
    expect(log).toEqual(expect.arrayContaining(['Manufacturer: ef', 'Device: 4016', 'Detected flash size: 4MB']));
  });

  test.each([true, false])('it writes, verifies and reads back (compressed: %s)', async (compress) => {
    const setup = connect();
    const { host, bench, log } = setup;
    bench.chip.load(0, noise(0x40000, 66));
    await host.main();
    const image = Buffer.concat([noise(40_000, 2), Buffer.alloc(20_000), noise(9_999, 3)]);
    await host.writeFlash(writing(0x10000, image, compress));
    expect(log).toContain('Hash of data verified.');
    expectBytes(bench.chip.peek(0x10000, image.length), image);
    expectBytes(await host.readFlash(0x10000, image.length), image);
    expect(await host.flashMd5sum(0x10000, image.length)).toBe(md5(image));
  });

  test('it erases everything, and everything before writing', async () => {
    const { host, bench } = connect();
    bench.chip.load(0x300000, noise(5000));
    await host.main();
    await host.eraseFlash();
    expect(bench.chip.store.isBlank(0, 0x400000)).toBe(true);
    bench.chip.load(0x300000, noise(5000));
    const image = noise(5000, 9);
    await host.writeFlash(writing(0, image, true, true));
    expect(bench.chip.store.isBlank(0x300000, 5000)).toBe(true);
    expectBytes(bench.chip.peek(0, image.length), image);
  });

  test('it goes on at another baud rate', async () => {
    const { host, bench, log } = connect(new LoaderBench(), 460800);
    await host.main();
    expect(log).toContain('Changed');
    expect(bench.bauds).toEqual([460800]);
    expect(log.filter((line) => line.includes('Unable') || line.includes('stopped responding'))).toEqual([]);
    const image = noise(3000);
    await host.writeFlash(writing(0, image, true));
    expectBytes(bench.chip.peek(0, image.length), image);
  });

  test('it starts the sketch, and comes back to the ROM', async () => {
    const first = connect();
    await first.host.main();
    await first.host.softReset(false);
    await new Promise(setImmediate);
    expect(first.bench.end).toEqual({ do: 'run-flash' });

    const second = connect();
    await second.host.main();
    await second.host.softReset(true);
    await new Promise(setImmediate);
    expect(second.bench.end).toEqual({ do: 'reset' });
  });

  test('a second session finds the stub running', async () => {
    const first = connect();
    await first.host.main();
    await first.transport.disconnect();
    open.length = 0;
    const second = connect(first.bench);
    await second.host.main('no_reset');
    expect(second.log).toContain('Stub is already running. No upload is necessary.');
    const image = noise(777);
    await second.host.writeFlash(writing(0x5000, image, true));
    expectBytes(first.bench.chip.peek(0x5000, image.length), image);
  });

  test('it sends a block again that failed once, and the image is right', async () => {
    const { host, bench } = connect();
    await host.main();
    let programs = 0;
    bench.chip.faults = {
      decide: ({ kind }) => (kind === 'program' && ++programs === 40 ? { do: 'fail' } : undefined),
    };
    const image = noise(60_000);
    await host.writeFlash(writing(0, image, true));
    expect(programs).toBeGreaterThan(40);
    expectBytes(bench.chip.peek(0, image.length), image);
  });

  test('flash that does not hold its data fails its verification', async () => {
    const { host, bench } = connect();
    await host.main();
    bench.chip.faults = {
      decide: ({ kind, address }) => (kind === 'program' && address === 0x800 ? { do: 'drop' } : undefined),
    };
    await expect(host.writeFlash(writing(0, noise(9000), true))).rejects.toThrow('MD5 of file does not match');
  });
});

describe('without stub', () => {
  test('it knows the chip, and writes plain blocks of 0x4000 bytes with an erase of all of them', async () => {
    const setup = connect();
    const { host, bench, log } = setup;
    withoutStub(setup);
    bench.chip.load(0, noise(0x40000, 66));
    expect(await host.main()).toBe('ESP8266EX');
    expect(log).toEqual(expect.arrayContaining(['MAC: 5c:cf:7f:11:22:33', 'Flash ID: 1640ef']));
    expect(bench.loader.dialect).toBe('rom');
    const image = noise(50_001);
    const { calculateMD5Hash: _, ...options } = writing(0x1000, image, false); // the ROM has no MD5
    await host.writeFlash(options);
    expectBytes(bench.chip.peek(0x1000, 0x10000), padded(image, 0x10000));
    await host.softReset(false);
    expect(bench.end).toEqual({ do: 'run-flash' });
  });

  test('what the ROM cannot do is refused by it, and the session goes on', async () => {
    const setup = connect();
    withoutStub(setup);
    await setup.host.main();
    await expect(setup.host.eraseFlash()).rejects.toThrow();
    await expect(setup.host.writeFlash(writing(0, noise(1000), true))).rejects.toThrow();
    await expect(setup.host.readFlash(0, 16)).rejects.toThrow();
    expect((await setup.host.readReg(0x40001000)) >>> 0).toBe(0xfff0c101);
    expect(setup.bench.flashEvents).toEqual([]);
  });
});
