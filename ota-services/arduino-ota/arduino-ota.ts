/**
 * The `ArduinoOTA` object of a sketch: settings with their once-and-before-`begin` rules, `begin`, `handle`, `end`.
 * Source: spec chapter 03 §2, §6, §9, §10.
 */
import { Interruption } from '../../flash/ports.ts';
import type { Address, ServicePorts, UdpSocket } from '../ports.ts';
import {
  DEFAULT_OTA_PORT,
  type EraseConfigMode,
  OTA_ERASE_CFG_ABORT_ON_ERROR,
  OTA_ERASE_CFG_NO,
  OTA_ERASE_SETTINGS_ERROR,
  type OtaError,
  otaErrorName,
} from './ota-constants.ts';
import type { OtaCallbacks, OtaMdns, OtaUpdater } from './ports.ts';
import { OtaSession, peerName, type SessionEffect } from './session.ts';
import { runUpdate, toBytes } from './update-run.ts';

/** Before the restart. Nobody outside waits for it: the connection is closed already. */
const PAUSE_BEFORE_RESTART_MS = 100;

export interface ArduinoOtaParts {
  readonly ports: Pick<ServicePorts, 'clock' | 'network' | 'system' | 'command' | 'md5' | 'emit'>;
  readonly updater: OtaUpdater;
  /** `ESP.eraseConfig()`: erases the last 16 KiB, up to the first sector that fails. Source: spec chapter 03 §9. */
  readonly eraseConfig: () => Promise<boolean>;
  /** Absent: `begin(true)` does as `begin(false)`. */
  readonly mdns?: OtaMdns | undefined;
  /** Takes what a build with OTA debug prints, one line (with its LF) a call. */
  readonly debug?: ((line: string) => void) | undefined;
  /** What passwords and challenges are hashed with, as lower-case hex (MD5). */
  readonly digest?: ((bytes: Uint8Array) => string) | undefined;
  /** The port to bind when the sketch sets none (8266). 0: the system chooses, once. */
  readonly defaultPort?: number | undefined;
}

/**
 * @example
 * const ota = new ArduinoOTA(parts);
 * ota.setPassword('admin');
 * ota.onError((code) => serial.print(`Error[${code}]`));
 * await ota.begin();
 * for (;;) await ota.handle();
 */
export class ArduinoOTA {
  private readonly parts: ArduinoOtaParts;
  private readonly session: OtaSession;
  private readonly callbacks: OtaCallbacks = {
    start: undefined,
    end: undefined,
    progress: undefined,
    error: undefined,
  };
  private udp: UdpSocket | undefined;
  private initialised = false;
  private useMdns = true;
  /** 0: not set. */
  private port = 0;
  private hostname = '';
  private rebootOnSuccess = true;
  private eraseConfig: EraseConfigMode = OTA_ERASE_CFG_NO;
  /** What an asynchronous `onError` threw in the network context, until the sketch's thread comes by. */
  private strayFailure: { readonly error: unknown } | undefined;

  constructor(parts: ArduinoOtaParts) {
    this.parts = parts;
    this.session = new OtaSession((text) => this.digestHex(toBytes(text)));
  }

  // Settings. For port, hostname and password the first call wins; later ones, and all after `begin`, do nothing.

  /** UDP port, taken modulo 65536; 0 is none. */
  setPort(port: number): void {
    if (!this.initialised && this.port === 0) this.port = port & 0xffff;
  }

  /** Hostname without `.local`. An empty one leaves it unset. */
  setHostname(hostname: string | null): void {
    if (!this.initialised && this.hostname === '' && hostname !== null) this.hostname = hostname;
  }

  /** Empty before `begin`, unless it was set. */
  getHostname(): string {
    return this.hostname;
  }

  /** Stores the MD5 (or other digest) of `password`. `setPassword('')` turns authentication on, with the empty password. */
  setPassword(password: string | null): void {
    if (this.canSetPassword(password)) this.session.passwordHash = this.digestHex(new TextEncoder().encode(password));
  }

  /** Stores `hash` as it is. An empty one leaves authentication off; one in upper case no uploader can match. */
  setPasswordHash(hash: string | null): void {
    if (this.canSetPassword(hash)) this.session.passwordHash = hash;
  }

  /** Whether a good update restarts the device (true). */
  setRebootOnSuccess(reboot: boolean): void {
    this.rebootOnSuccess = reboot;
  }

  /** Whether a good update that restarts the device erases the Wi-Fi settings first, and what if that fails. */
  setEraseConfig(mode: EraseConfigMode = OTA_ERASE_CFG_ABORT_ON_ERROR): void {
    this.eraseConfig = mode;
  }

  /** Called when an update was accepted, before the connection is made. */
  onStart(callback: OtaCallbacks['start']): void {
    this.callbacks.start = callback;
  }

  /** Called after a good update, with the connection closed, before the restart. */
  onEnd(callback: OtaCallbacks['end']): void {
    this.callbacks.end = callback;
  }

  /** Called with bytes received and announced: (0, size) at first, then after each acknowledgement. */
  onProgress(callback: OtaCallbacks['progress']): void {
    this.callbacks.progress = callback;
  }

  /** Called with an `ota_error_t`. With OTA_AUTH_ERROR it runs in the network context and cannot make anybody wait. */
  onError(callback: OtaCallbacks['error']): void {
    this.callbacks.error = callback;
  }

  /** The command (0 or 100) of the last datagram that had a valid one while idle. */
  getCommand(): number {
    return this.session.command;
  }

  /** The address that uploaders invite, while begun. */
  get address(): Address | undefined {
    return this.udp?.local;
  }

  // Running.

  /** Opens the UDP port and starts mDNS. When the port is taken it does neither, and a later call tries again. */
  async begin(useMDNS = true): Promise<void> {
    if (this.initialised) return;
    const { ports, mdns, debug, defaultPort = DEFAULT_OTA_PORT } = this.parts;
    this.useMdns = useMDNS;
    if (this.hostname === '') this.hostname = `esp8266-${ports.system.chipId.toString(16).padStart(6, '0')}`;
    if (this.port === 0) this.port = defaultPort;
    this.udp?.close();
    this.udp = undefined;
    try {
      this.udp = await ports.network.bindUdp(this.port);
    } catch (error) {
      if (error instanceof Interruption) throw error;
      return;
    }
    // The port that the system chose stays ours after `end()` too.
    this.port = this.udp.local.port;
    this.udp.onDatagram((datagram, from) => this.receive(datagram, from));
    if (this.useMdns) {
      mdns?.begin(this.hostname);
      mdns?.addArduinoService(this.port, this.session.passwordHash !== '');
    }
    this.initialised = true;
    this.session.state = 'idle';
    debug?.(`OTA server at: ${this.hostname}.local:${this.port}\n`);
  }

  /** Closes the UDP port and says goodbye by mDNS. Settings stay. */
  end(): void {
    if (!this.initialised) return;
    this.initialised = false;
    this.udp?.close();
    this.udp = undefined;
    if (this.useMdns) this.parts.mdns?.end();
    this.session.state = 'idle';
    this.parts.debug?.('OTA server stopped.\n');
  }

  /**
   * To be called from the loop. Performs an update that was invited, all of it, and then one step of mDNS.
   * Never resolves when the update restarts the device.
   */
  async handle(): Promise<void> {
    if (this.strayFailure) {
      const { error } = this.strayFailure;
      this.strayFailure = undefined;
      throw error;
    }
    if (this.session.state === 'run-update') {
      await this.run();
      this.session.state = 'idle';
    }
    if (this.initialised && this.useMdns) await this.parts.mdns?.update();
  }

  /** Switches Wi-Fi off, erases the settings and resets the chip; returns only when one of the first two failed. */
  async eraseConfigAndReset(): Promise<void> {
    await this.eraseSettings(() => {});
  }

  private async run(): Promise<void> {
    const { ports, updater, debug } = this.parts;
    const peer = peerName(this.session.inviter);
    const outcome = await runUpdate({
      session: this.session,
      updater,
      clock: ports.clock,
      network: ports.network,
      emit: ports.emit,
      callbacks: this.callbacks,
      fail: (code, of) => this.fail(code, of),
      reply: (text, to) => this.udp?.send(toBytes(text), to),
      debug: (line) => debug?.(line),
    });
    if (outcome === 'refused') return;
    const told = (reboot: boolean): void => ports.emit({ type: 'ota.end', peer, ok: outcome === 'succeeded', reboot });
    if (outcome === 'failed' || !this.rebootOnSuccess) told(false);
    else await this.reboot(peer, told);
  }

  /** @param told to be called once, as late as possible: behind a reset nothing can be told */
  private async reboot(peer: string, told: (reboot: boolean) => void): Promise<void> {
    const { clock, system, command } = this.parts.ports;
    this.parts.debug?.('Rebooting...\n');
    await clock.delay(PAUSE_BEFORE_RESTART_MS);
    if (this.eraseConfig !== OTA_ERASE_CFG_NO) {
      await this.eraseSettings(() => told(true));
      await this.fail(OTA_ERASE_SETTINGS_ERROR, peer);
      if (this.eraseConfig === OTA_ERASE_CFG_ABORT_ON_ERROR) {
        command.clear();
        told(false);
        return;
      }
    }
    told(true);
    await system.restart();
  }

  private async eraseSettings(beforeReset: () => void): Promise<void> {
    const { system } = this.parts.ports;
    const { debug } = this.parts;
    debug?.('Erase Config and Hard Reset ...\n');
    if (!(await system.wifiOff())) {
      debug?.('  WiFi.mode(WIFI_OFF) Timeout!\n');
      return;
    }
    if (await this.parts.eraseConfig()) {
      beforeReset();
      await system.hardwareReset();
    }
    debug?.('  ESP.eraseConfigAndReset() failed!\n');
  }

  /** The receive handler, in the network context. */
  private receive(datagram: Uint8Array, from: Address): void {
    const effects = this.session.receive(datagram, from, this.parts.ports.clock.micros());
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: SessionEffect): void {
    switch (effect.do) {
      case 'tell':
        this.parts.ports.emit(effect.event);
        break;
      case 'reply':
        this.udp?.send(toBytes(effect.text), effect.to);
        break;
      case 'error':
        this.fail(effect.code, effect.peer).catch((error: unknown) => {
          this.strayFailure ??= { error };
        });
        break;
      default:
        effect satisfies never;
    }
  }

  private async fail(code: OtaError, peer: string): Promise<void> {
    this.parts.ports.emit({ type: 'ota.error', peer, code, name: otaErrorName(code) });
    await this.callbacks.error?.(code);
  }

  private canSetPassword(text: string | null): text is string {
    return !this.initialised && this.session.passwordHash === '' && text !== null;
  }

  private digestHex(bytes: Uint8Array): string {
    if (this.parts.digest) return this.parts.digest(bytes);
    const md5 = this.parts.ports.md5();
    md5.update(bytes);
    return Array.from(md5.digest(), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
}
