/** What is advertised: a service, its names, and what LEAmDNS accepts of them. Source: spec chapter 03 §13.1, §13.2. */
import { SERVICE_NAME_LIMIT, TXT_LIMIT } from './constants.ts';
import { LABEL_LIMIT, labelBytes, type Name, nameKey, serviceInstanceName, serviceTypeName } from './names.ts';

/** Key and value of a TXT string `key=value`. */
export type TxtEntry = readonly [key: string, value: string];

export interface ServiceOptions {
  /** With or without the leading underscore. */
  readonly service: string;
  /** `tcp` or `udp`, with or without the underscore. */
  readonly protocol: string;
  readonly port: number;
  /** In the order of adding; on the wire it is reversed, because LEAmDNS puts each new one in front. */
  readonly txt?: readonly TxtEntry[];
  /** Without it the instance is named after the host, and follows when that is renamed. */
  readonly instance?: string;
}

export class Service {
  readonly type: Name;
  readonly txtStrings: Uint8Array;
  readonly port: number;
  private readonly instance: string | undefined;

  /** @throws nothing: whether the options are acceptable is said by {@link acceptableService} */
  constructor(options: ServiceOptions) {
    this.type = serviceTypeName(`_${bare(options.service)}`, `_${bare(options.protocol)}`);
    this.port = options.port;
    this.instance = options.instance;
    this.txtStrings = txtBytes(options.txt ?? []);
  }

  /** The instance's full name, on a host of this name. */
  nameOn(hostname: string): Name {
    return serviceInstanceName(this.instance ?? hostname, this.type);
  }

  isSame(other: Service, hostname: string): boolean {
    return nameKey(this.nameOn(hostname)) === nameKey(other.nameOn(hostname));
  }
}

/** True when LEAmDNS would take it. */
export function acceptableService({ service, protocol, port, txt = [], instance }: ServiceOptions): boolean {
  const name = labelBytes(bare(service));
  return (
    name.length > 0 &&
    name.length <= SERVICE_NAME_LIMIT &&
    ['tcp', 'udp'].includes(bare(protocol)) &&
    Number.isInteger(port) &&
    port > 0 &&
    port <= 65_535 &&
    (instance === undefined || acceptableLabel(instance)) &&
    txt.every((entry) => entry[0] !== '' && txtString(entry).length <= 255) &&
    txtBytes(txt).length < TXT_LIMIT
  );
}

/** True for a name that fits in one label. */
export function acceptableLabel(text: string): boolean {
  const { length } = labelBytes(text);
  return length > 0 && length <= LABEL_LIMIT;
}

function bare(name: string): string {
  return name.startsWith('_') ? name.slice(1) : name;
}

function txtString([key, value]: TxtEntry): string {
  return labelBytes(`${key}=${value}`);
}

function txtBytes(txt: readonly TxtEntry[]): Uint8Array {
  const strings = txt.toReversed().map(txtString);
  return Uint8Array.from(strings.flatMap((text) => [text.length, ...[...text].map((letter) => letter.charCodeAt(0))]));
}
