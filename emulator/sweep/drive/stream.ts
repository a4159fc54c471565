/** A client of the sketch `stream-update`: one line, the image, an answer. The protocol is that sketch's. */
import { createHash } from 'node:crypto';
import type { Drive, Peer } from './drive.ts';
import { Pump } from './pump.ts';

/** So long the device may be busy without taking a byte; erasing a file system's sectors is done one by one. */
const PATIENCE_US = 120_000_000;

export function stream(drive: Drive): Peer {
  const { device, network, options } = drive;
  const port = device.address.stream?.port;
  if (port === undefined) {
    drive.fail('the running firmware takes no stream');
    return { close() {} };
  }
  const { image, target } = options;
  const md5 = options.md5 === undefined ? createHash('md5').update(image).digest('hex') : options.md5;
  const connection = network.connectTcp(port);
  const head = Buffer.from(
    `${target === 'fs' ? 'fs ' : ''}${image.length}${md5 === null ? '' : ` ${md5}`}\n`,
    'latin1',
  );
  // `Update.writeStream` looks at a byte of the image before it waits for one, so the first comes with the line.
  const pump = new Pump(connection, [head, image], options.chunk, head.length);
  drive.expectWithin(PATIENCE_US, 'the device does not answer');
  let answer = '';
  connection.onData((data) => {
    answer = (answer + Buffer.from(data).toString('latin1')).slice(-1024);
    if (!answer.includes('\n')) return;
    if (answer.startsWith('OK')) drive.peerDone();
    else drive.fail(answer.trimEnd());
  });
  connection.onState((state) => {
    if (state === 'open' || state === 'connecting' || answer.startsWith('OK')) return;
    drive.fail(answer.trimEnd() || `the connection ended (${state})`);
  });
  return {
    step() {
      if (pump.step()) drive.expectWithin(PATIENCE_US, 'the device does not answer');
    },
    close: () => connection.reset(),
  };
}
