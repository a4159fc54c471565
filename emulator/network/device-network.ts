/** The network of a device: sockets of this machine, or with a virtual clock the simulated one. */
import type { Emit } from '../../flash/ports.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type { Network } from '../../ota-services/ports.ts';
import type { ClockMode, DeviceClock } from '../clock.ts';
import type { Life } from '../life.ts';
import { nodeNetwork } from './node-network.ts';
import { SimulatedNetwork } from './simulated-network.ts';

/** A port of this machine that the device wants is taken: nothing that a real device could meet. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

export interface DeviceNetwork {
  /** The network of one life. A port that the system chose once (port 0) is asked for again in later lives. */
  forDevice(life: Life): Network;
  /** With a virtual clock. */
  readonly simulated: SimulatedNetwork | undefined;
}

export function makeDeviceNetwork(options: {
  readonly host: string;
  readonly mode: ClockMode;
  readonly clock: DeviceClock;
  readonly emit: Emit<WireEvent>;
  readonly mdnsInterface?: string;
  /** The device cannot go on: its port is taken. */
  readonly fail: (error: ListenError) => void;
}): DeviceNetwork {
  const { host, emit, mdnsInterface, fail } = options;
  if (options.mode === 'virtual') {
    const simulated = new SimulatedNetwork({
      clock: options.clock,
      emit,
      // Addresses of this machine mean nothing there.
      ...(host.startsWith('127.') || host === '0.0.0.0' ? {} : { address: host }),
    });
    return { simulated, forDevice: (life) => simulated.forDevice(life) };
  }
  const real = nodeNetwork({ host, emit, mdnsInterface });
  const chosen = { udp: new Map<number, number>(), tcp: new Map<number, number>() };
  return {
    simulated: undefined,
    forDevice: (life) => stable(real.forDevice(life), life, chosen, fail),
  };
}

/** How long a port that the system chose earlier is waited for, and how often it is tried. */
const RETAKE_MS = 5000;
const RETAKE_PAUSE_MS = 50;

const isInUse = (error: unknown): boolean =>
  error instanceof Error && error.cause instanceof Error && 'code' in error.cause && error.cause.code === 'EADDRINUSE';

type Chosen = Record<'udp' | 'tcp', Map<number, number>>;

/**
 * Keeps the ports of a device the same from one life to the next: the n-th socket of a life that asks for port 0 gets what
 * the n-th got before. Uploaders that were told a port must find it again after the restart.
 */
function stable(network: Network, life: Life, chosen: Chosen, fail: (error: ListenError) => void): Network {
  const asked = { udp: 0, tcp: 0 };
  /** While the device was off, the system may have lent the port to somebody else, who mostly is soon gone. */
  const retake = async <S>(bind: () => Promise<S>): Promise<S> => {
    const until = performance.now() + RETAKE_MS;
    for (;;) {
      try {
        return await bind();
      } catch (error) {
        if (!isInUse(error) || performance.now() > until) throw error;
      }
      await life.guard(new Promise((resolve) => setTimeout(resolve, RETAKE_PAUSE_MS)));
    }
  };
  const open = async <S extends { readonly local: { readonly port: number } }>(
    kind: 'udp' | 'tcp',
    port: number,
    bind: (port: number) => Promise<S>,
  ): Promise<S> => {
    const index = port === 0 ? asked[kind]++ : -1;
    try {
      const before = chosen[kind].get(index);
      const socket = before === undefined ? await bind(port) : await retake(() => bind(before));
      if (index >= 0) chosen[kind].set(index, socket.local.port);
      return socket;
    } catch (error) {
      if (error instanceof Error && error.name !== 'PowerLost' && error.name !== 'DeviceReset') {
        fail(new ListenError(error.message));
      }
      throw error;
    }
  };
  return {
    address: network.address,
    ...('netmask' in network ? { netmask: network.netmask as string } : {}),
    bindUdp: (port) => open('udp', port, (wanted) => network.bindUdp(wanted)),
    listenTcp: (port, channel) => open('tcp', port, (wanted) => network.listenTcp(wanted, channel)),
    joinMulticast: (group, port) => network.joinMulticast(group, port),
    connectTcp: network.connectTcp.bind(network),
    ...(network.listenTls
      ? {
          listenTls: (port, identity, channel) =>
            open('tcp', port, (wanted) => network.listenTls!(wanted, identity, channel)),
        }
      : {}),
    ...(network.connectTls ? { connectTls: network.connectTls.bind(network) } : {}),
    ...(network.resolve ? { resolve: network.resolve.bind(network) } : {}),
  };
}
