/** What createDevice refuses before anything is made: values that no device could have. */
import { createPublicKey } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { eraOf } from '../eboot/eras.ts';
import { parseFaults } from './faults/spec.ts';
import { DeviceOptionError, type DeviceOptions } from './options.ts';
import { DOWNLOAD_MODES, SERIAL_TRANSPORTS, SERIAL_WIRINGS } from './serial/transport.ts';

const refuse = (what: string, wants: string, got: unknown): never => {
  throw new DeviceOptionError(`${what}: wants ${wants}; got ${JSON.stringify(got) ?? String(got)}`);
};

function oneOf(what: string, value: string | undefined, names: readonly string[]): void {
  if (value !== undefined && !names.includes(value)) refuse(what, names.join(', '), value);
}

function integer(what: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return;
  refuse(what, `a whole number from ${least} to ${most}`, value);
}

/** @throws DeviceOptionError that names the option, what it wants and what it got; FaultSpecError */
export function checkOptions(options: DeviceOptions): void {
  oneOf('bootloader', options.bootloader, ['auto', 'model', 'native']);
  oneOf('stub', options.stub, ['state', 'native']);
  oneOf('clock', options.clock, ['fast', 'real', 'virtual']);
  oneOf('boot', options.boot, ['flash', 'download']);
  oneOf('afterPowerCut', options.afterPowerCut, ['stay-off', 'power-on']);
  oneOf('ota.digest', options.ota?.digest, ['md5', 'sha256']);
  integer('ota.port', options.ota?.port, 0, 0xffff);
  integer('http.port', options.http?.port, 0, 0xffff);
  integer('https.port', options.https?.port, 0, 0xffff);
  integer('stream.port', options.stream?.port, 0, 0xffff);
  integer('control.port', options.control?.port, 0, 0xffff);
  integer('gdb.port', options.gdb?.port, 0, 0xffff);
  if (options.serial !== undefined) {
    oneOf('serial.transport', options.serial.transport, SERIAL_TRANSPORTS);
    oneOf('serial.download', options.serial.download, DOWNLOAD_MODES);
    oneOf('serial.wiring', options.serial.wiring, SERIAL_WIRINGS);
    integer('serial.port', options.serial.port, 0, 0xffff);
    if (options.clock === 'virtual' && options.serial.transport !== undefined) {
      throw new DeviceOptionError(
        "serial.transport: a virtual clock opens no sockets; use device.serial, or clock: 'fast'",
      );
    }
  }
  integer('seed', options.seed, 0, 0xffffffff);
  integer('freeHeap', options.freeHeap, 0, 81_920); // the chip's data RAM
  integer('chipId', options.chipId, 0, 0xffffff);
  for (const [what, address] of [
    ['host', options.host],
    ['mdnsInterface', options.mdnsInterface],
  ] as const) {
    if (address !== undefined && !isIPv4(address)) refuse(what, 'a dotted IPv4 address', address);
  }
  for (const text of options.faults ?? []) parseFaults(text);
  if (options.core !== undefined) {
    try {
      eraOf(options.core);
    } catch (error) {
      throw new DeviceOptionError((error as Error).message);
    }
  }
  if (options.publicKey !== undefined) {
    try {
      createPublicKey(options.publicKey);
    } catch {
      throw new DeviceOptionError(
        'publicKey: wants the text of a PEM file with a public key (-----BEGIN PUBLIC KEY-----)',
      );
    }
  }
}
