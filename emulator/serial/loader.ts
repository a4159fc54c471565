/** The serial loader of the mask ROM on this device: which parts it gets, and its place on UART0. */
import type { Kernels } from '../../assembly/host/kernels.ts';
import type { Ram } from '../../eboot/ram.ts';
import type { NorFlash } from '../../flash/nor-flash.ts';
import type { ChipClock, Emit } from '../../flash/ports.ts';
import { macsOf } from '../../ota-services/http-update-client/request.ts';
import type { LoaderEvent } from '../../ota-services/rom-loader/events.ts';
import type { LoaderEnd, LoaderRam } from '../../ota-services/rom-loader/ports.ts';
import { SerialLoader } from '../../ota-services/rom-loader/serial-loader.ts';
import type { BoardSetup } from '../board-setup.ts';
import type { DeviceClock } from '../clock.ts';
import type { Life } from '../life.ts';
import { md5Source } from '../md5-source.ts';
import type { Uart } from './uart.ts';

export interface LoaderRunParts {
  readonly chip: NorFlash;
  readonly clock: DeviceClock;
  readonly kernels: Kernels;
  readonly ram: Ram;
  readonly uart: Uart;
  readonly chipId: number;
  readonly setup: Pick<BoardSetup, 'board'>;
  readonly emit: Emit<LoaderEvent>;
  /** See {@link LoaderParts}. */
  readonly stub: 'state' | 'native';
}

/** What a host reads in the fuses: the MAC address, and the size of the flash where it is inside the chip. */
export function chipIdentity({ chip, chipId, setup }: Pick<LoaderRunParts, 'chip' | 'chipId' | 'setup'>): {
  readonly mac: Uint8Array;
  readonly embeddedFlash: number | undefined;
} {
  return {
    mac: Uint8Array.from(macsOf(chipId).staMac.split(':'), (byte) => Number.parseInt(byte, 16)),
    embeddedFlash: setup.board.variant === 'esp8285' ? chip.capacityBytes : undefined,
  };
}

/** Runs the loader until a host sends it away. Ends by an Interruption with the life. */
export async function runLoader(parts: LoaderRunParts, clock: ChipClock, life: Life): Promise<LoaderEnd> {
  const { chip, kernels, ram, uart, emit } = parts;
  const loader = new SerialLoader({
    chip,
    clock,
    ram: loaderRam(ram),
    ...chipIdentity(parts),
    flashId: chip.part.jedecId,
    md5: md5Source(kernels, life),
    emit,
    stub: parts.stub,
    // Virtual time turns when it is moved; no command needs that.
    breathe: () => {
      const turn = parts.clock.mode === 'virtual' ? undefined : parts.clock.breathe();
      return turn && life.guard(turn);
    },
    transmit: (bytes) => {
      if (!life.ended) uart.sendFrames(bytes);
    },
    setBaud: (rate) => {
      uart.baud = rate;
    },
  });
  const detach = uart.attachLoader((bytes) => {
    loader.baud = uart.baud;
    loader.receive(bytes);
  });
  const forget = life.onEnd(detach);
  try {
    return await life.guard(loader.run());
  } finally {
    forget();
    detach();
  }
}

function loaderRam(ram: Ram): LoaderRam {
  const view = (address: number, length: number): Uint8Array | undefined => {
    try {
      return ram.view(address, length);
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  };
  return {
    write(address, data) {
      const target = view(address, data.length);
      target?.set(data);
      return target !== undefined;
    },
    read: (address, length) => view(address, length)?.slice(),
  };
}
