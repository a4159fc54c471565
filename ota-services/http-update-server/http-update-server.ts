/**
 * The core's `ESP8266HTTPUpdateServer`: a form, and the upload that it sends, on a route of a web server.
 * Source: spec chapter 04 §9–§12 (ESP8266HTTPUpdateServer-impl.h), quirks included.
 *
 * Two things live from one request to the next, and most of §12 follows from them: whether the last upload was
 * authenticated, and the last error text.
 */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { Clock, System } from '../ports.ts';
import { U_FLASH, U_FS } from '../update-area.ts';
import { HTTP_UPLOAD_BUFLEN } from '../web-server/constants.ts';
import {
  type ESP8266WebServer,
  type HTTPUpload,
  UPLOAD_FILE_ABORTED,
  UPLOAD_FILE_END,
  UPLOAD_FILE_START,
  UPLOAD_FILE_WRITE,
} from '../web-server/web-server.ts';
import { SUCCESS_PAGE, UPDATE_PAGE } from './page.ts';

const DEFAULT_PATH = '/update';
/** The field whose file is a file system; any other is firmware. */
const FILESYSTEM_FIELD = 'filesystem';
/** Kept free between the running sketch and the staging area. */
const SKETCH_GAP_BYTES = 0x1000;
/** Between the success page and the close. */
const REBOOT_PAUSE_MS = 100;

/** The part of the Updater that the update server uses. Source: spec chapter 02 §1. */
export interface UploadUpdater {
  begin(size: number, command: number): Promise<boolean>;
  write(data: Uint8Array): Promise<number>;
  /** What `write` does without waiting for anything; undefined, and nothing was done, when it has to wait. */
  writeNow?(data: Uint8Array): number | undefined;
  /** `write` of one piece after the other, up to one that is not taken whole: then false. */
  writePieces?(data: Uint8Array, pieceBytes: number): Promise<boolean>;
  end(evenIfRemaining?: boolean): Promise<boolean>;
  hasError(): boolean;
  /** `ERROR[n]: text\n`. */
  printError(): string;
}

/** The part of `ESP` that it uses. */
export interface UpdateSpace {
  getFreeSketchSpace(): number;
  /** Chip offsets. */
  readonly layout: { readonly fsStart: number; readonly fsEnd: number };
}

export interface HttpUpdateServerPorts {
  readonly update: UploadUpdater;
  readonly flash: UpdateSpace;
  readonly clock: Pick<Clock, 'delay'>;
  readonly system: Pick<System, 'restart'>;
  /** The serial line, for `serialDebug`. Line ends are in the text. */
  readonly print: (text: string) => void;
  /** Unmounts every file system, before an upload overwrites it. */
  readonly closeFileSystems?: () => void;
  /** Debug output of the SDK on the serial line; switched with `serialDebug` around each upload. */
  readonly setDebugOutput?: (on: boolean) => void;
}

/**
 * @example
 * const updater = new ESP8266HTTPUpdateServer({ update, flash, clock, system, print });
 * updater.setup(server, '/firmware', 'admin', 'admin');
 */
export class ESP8266HTTPUpdateServer {
  private user = '';
  private password = '';
  /** Of the last file that began; a request without a file leaves it as it is. */
  private authenticated = false;
  /** The Updater's line, its LF included; empty without an error. */
  private updaterError = '';

  /** @param serialDebug tells on the serial line what happens */
  constructor(
    private readonly ports: HttpUpdateServerPorts,
    private readonly serialDebug = false,
  ) {}

  /** Registers the routes. Three texts are server, user and password. Credentials hold only when both are not empty. */
  setup(server: ESP8266WebServer): void;
  setup(server: ESP8266WebServer, path: string): void;
  setup(server: ESP8266WebServer, user: string, password: string): void;
  setup(server: ESP8266WebServer, path: string, user: string, password: string): void;
  setup(server: ESP8266WebServer, ...texts: string[]): void {
    const [path = DEFAULT_PATH, user = '', password = ''] = texts.length === 2 ? [DEFAULT_PATH, ...texts] : texts;
    this.updateCredentials(user, password);
    server.on(path, 'GET', () => this.sendForm(server));
    server.on(path, 'OPTIONS', async () => {
      allowAnyOrigin(server);
      await server.send(200, 'text/html', 'y');
    });
    server.on(
      path,
      'POST',
      () => this.sendResult(server),
      () => this.takeUpload(server),
    );
  }

  /** Replaces the credentials at once. */
  updateCredentials(user: string, password: string): void {
    this.user = user;
    this.password = password;
  }

  private isAllowed(server: ESP8266WebServer): boolean {
    return this.user === '' || this.password === '' || server.authenticate(this.user, this.password);
  }

  private async sendForm(server: ESP8266WebServer): Promise<void> {
    if (this.isAllowed(server)) await server.send(200, 'text/html', UPDATE_PAGE);
    else await server.requestAuthentication();
  }

  /** After the whole body; without a file in it, from what the upload before left behind. */
  private async sendResult(server: ESP8266WebServer): Promise<void> {
    const { update, clock, system } = this.ports;
    allowAnyOrigin(server);
    if (!this.authenticated) {
      await server.requestAuthentication();
    } else if (update.hasError()) {
      await server.send(200, 'text/html', `Update error: ${this.updaterError}`);
    } else {
      server.client().setNoDelay(true);
      await server.send(200, 'text/html', SUCCESS_PAGE);
      await clock.delay(REBOOT_PAUSE_MS);
      await server.client().stop();
      await system.restart();
    }
  }

  /** Called for every 2 KiB of a file. */
  private takeUpload(server: ESP8266WebServer): void | Promise<void> {
    const upload = server.upload();
    if (upload.status !== UPLOAD_FILE_WRITE) return this.takeTurn(server, upload);
    if (this.authenticated && this.updaterError === '') return this.write(upload);
  }

  private async takeTurn(server: ESP8266WebServer, upload: HTTPUpload): Promise<void> {
    switch (upload.status) {
      case UPLOAD_FILE_START:
        this.updaterError = '';
        if (this.serialDebug) this.ports.setDebugOutput?.(true);
        this.authenticated = this.isAllowed(server);
        if (this.ports.update.writePieces && !this.serialDebug) upload.takeMany = (pieces) => this.writePieces(pieces);
        if (this.authenticated) await this.begin(upload);
        else this.debug('Unauthenticated Update\n');
        break;
      case UPLOAD_FILE_END:
        if (this.authenticated && this.updaterError === '') await this.end(upload);
        if (this.serialDebug) this.ports.setDebugOutput?.(false);
        break;
      case UPLOAD_FILE_ABORTED:
        if (this.authenticated) {
          await this.ports.update.end();
          this.debug('Update was aborted\r\n');
        }
        break;
    }
  }

  private async begin(upload: HTTPUpload): Promise<void> {
    const { update, flash, closeFileSystems } = this.ports;
    this.debug(`Update: ${upload.filename}\n`);
    if (upload.name === FILESYSTEM_FIELD) {
      const { fsStart, fsEnd } = flash.layout;
      closeFileSystems?.();
      // A refusal is only printed here; the first write finds the Updater idle and makes it an error.
      if (!(await update.begin(fsEnd - fsStart, U_FS))) this.debug(update.printError());
    } else if (!(await update.begin(largestSketch(flash.getFreeSketchSpace()), U_FLASH))) {
      this.setUpdaterError();
    }
  }

  private write(upload: HTTPUpload): void | Promise<void> {
    this.debug('.');
    const { update } = this.ports;
    const piece = upload.currentSize < upload.buf.length ? upload.buf.subarray(0, upload.currentSize) : upload.buf;
    if (update.writeNow?.(piece) === undefined) return this.writeAll(piece);
  }

  private async writeAll(piece: Uint8Array): Promise<void> {
    if ((await this.ports.update.write(piece)) !== piece.length) this.setUpdaterError();
  }

  /** Where no dot is printed for each. */
  private async writePieces(pieces: Uint8Array): Promise<void> {
    if (!this.authenticated || this.updaterError !== '') return;
    if (!(await this.ports.update.writePieces?.(pieces, HTTP_UPLOAD_BUFLEN))) this.setUpdaterError();
  }

  private async end(upload: HTTPUpload): Promise<void> {
    if (await this.ports.update.end(true)) this.debug(`Update Success: ${upload.totalSize}\nRebooting...\n`);
    else this.setUpdaterError();
  }

  private setUpdaterError(): void {
    this.updaterError = this.ports.update.printError();
    this.debug(this.updaterError);
  }

  private debug(text: string): void {
    if (this.serialDebug) this.ports.print(text);
  }
}

function allowAnyOrigin(server: ESP8266WebServer): void {
  server.sendHeader('Access-Control-Allow-Headers', '*');
  server.sendHeader('Access-Control-Allow-Origin', '*');
}

/** Everything that is free, less a sector, in whole sectors. Wraps, as 32-bit numbers do, when less than a sector is free. */
function largestSketch(freeBytes: number): number {
  const left = (freeBytes - SKETCH_GAP_BYTES) >>> 0;
  return left - (left % SECTOR_BYTES);
}
