/** Which transport UART0 has: the text of `--serial`, its checks, and its opening. Contract: design.md §4. */
import type { Addresses } from '../events.ts';
import { DeviceOptionError, type SerialOptions } from '../options.ts';
import type { SerialWiring } from './control-lines.ts';
import type { DownloadMode, SerialPort } from './serial-port.ts';
import { listenForHosts } from './tcp-transport.ts';

export const SERIAL_TRANSPORTS = ['tcp', 'rfc2217', 'pty'] as const;
export const DOWNLOAD_MODES: readonly DownloadMode[] = ['manual', 'on-sync'];
export const SERIAL_WIRINGS: readonly SerialWiring[] = ['cross-coupled', 'direct'];

/**
 * Parses `tcp:PORT`, `rfc2217:PORT` or `pty`.
 * @throws DeviceOptionError that says what would do
 */
export function parseSerial(text: string): Pick<SerialOptions, 'transport' | 'port'> {
  if (text === 'pty') return { transport: 'pty' };
  const match = /^(tcp|rfc2217):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > 0xffff) {
    throw new DeviceOptionError(`serial "${text}": wants tcp:PORT, rfc2217:PORT (0 lets the system choose) or pty`);
  }
  return { transport: match[1] as 'tcp' | 'rfc2217', port };
}

/**
 * Opens the transport, if there is one.
 * @throws ListenError when the port cannot be had; DeviceOptionError without socat
 */
export async function openSerial(
  port: SerialPort,
  options: SerialOptions,
  host: string,
): Promise<{ readonly address: NonNullable<Addresses['serial']>; readonly close: () => void } | undefined> {
  if (options.transport === undefined) return undefined;
  if (options.transport === 'pty') {
    const { openPseudoTerminal } = await import('./pty-transport.ts');
    const { path, close } = await openPseudoTerminal(port);
    return { address: { path }, close };
  }
  return listenForHosts(port, options.transport, { host, port: options.port ?? 0 });
}
