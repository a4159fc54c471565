import type { Network } from '../../ota-services/ports.ts';

/** The same network, of whose TCP connections the events say `http` (design.md §5). */
export function asHttp(network: Network): Network {
  const { netmask, listenTls, connectTls, resolve } = network;
  return {
    address: network.address,
    ...(netmask === undefined ? {} : { netmask }),
    bindUdp: (port) => network.bindUdp(port),
    joinMulticast: (group, port) => network.joinMulticast(group, port),
    connectTcp: (to, timeoutMs) => network.connectTcp(to, timeoutMs, 'http'),
    listenTcp: (port) => network.listenTcp(port, 'http'),
    ...(connectTls
      ? { connectTls: (to, options, timeoutMs) => connectTls.call(network, to, options, timeoutMs, 'http') }
      : {}),
    ...(listenTls ? { listenTls: (port, identity) => listenTls.call(network, port, identity, 'http') } : {}),
    ...(resolve ? { resolve: resolve.bind(network) } : {}),
  };
}
