/** Who answers which request: routes of a sketch, and static files. Source: spec chapter 04 §8 (RequestHandlersImpl.h). */
import { contentTypeOf } from './mime-types.ts';
import type { HttpMethod } from './parsed-request.ts';

/** `HTTP_ANY` matches every method. */
export type RouteMethod = HttpMethod | 'ANY';

/** A handler may be async: the device's only thread waits for it. */
export type Handler = () => void | Promise<void>;

/** Something that can answer requests, in the order in which it was added. */
export interface RequestHandler {
  canHandle(method: HttpMethod, path: string): boolean;
  /** True: `upload` is called with the files of a form. */
  canUpload(path: string): boolean;
  /** False: it has nothing for this path after all, and the request counts as not found. */
  handle(method: HttpMethod, path: string): Promise<boolean>;
  upload(): void | Promise<void>;
}

/** One path and method, and the sketch's function for it. */
export class Route implements RequestHandler {
  private filter: (() => boolean) | undefined;

  constructor(
    private readonly path: string,
    private readonly method: RouteMethod,
    private readonly handler: Handler,
    private readonly uploadHandler?: Handler,
  ) {}

  /** The route holds only while `filter` returns true. */
  setFilter(filter: () => boolean): this {
    this.filter = filter;
    return this;
  }

  /** Compares the path as it came, case and percent signs included. */
  canHandle(method: HttpMethod, path: string): boolean {
    return (this.method === 'ANY' || this.method === method) && path === this.path && (this.filter?.() ?? true);
  }

  canUpload(path: string): boolean {
    return this.uploadHandler !== undefined && this.canHandle('POST', path);
  }

  async handle(): Promise<boolean> {
    await this.handler();
    return true;
  }

  upload(): void | Promise<void> {
    return this.uploadHandler?.();
  }
}

/** A file system as static routes see it. Paths begin with a slash. */
export interface StaticFiles {
  /** The bytes of a file; undefined when there is none, or it is a directory. */
  read(path: string): Uint8Array | undefined;
}

/** The part of the server that sends a file. */
export interface FileSender {
  sendHeader(name: string, value: string): void;
  send(code: number, contentType: string, content: Uint8Array): Promise<void>;
}

/** A file under its own address, or a directory under a prefix. */
export class StaticRoute implements RequestHandler {
  /** The rest of a request's path goes behind `path`. */
  private readonly isDirectory: boolean;

  constructor(
    private readonly server: FileSender,
    private readonly uri: string,
    private readonly files: StaticFiles,
    private readonly path: string,
    private readonly cacheControl: string,
  ) {
    this.isDirectory = files.read(path) === undefined && files.read(`${path}.gz`) === undefined;
  }

  canHandle(method: HttpMethod, path: string): boolean {
    if (method !== 'GET' && method !== 'HEAD') return false;
    return this.isDirectory ? path.startsWith(this.uri) : path === this.uri;
  }

  canUpload(): boolean {
    return false;
  }

  async handle(_method: HttpMethod, path: string): Promise<boolean> {
    for (const candidate of this.candidates(path)) {
      const plain = this.files.read(candidate);
      const content = plain ?? this.files.read(`${candidate}.gz`);
      if (content === undefined) continue;
      if (plain === undefined) this.server.sendHeader('Content-Encoding', 'gzip');
      if (this.cacheControl !== '') this.server.sendHeader('Cache-Control', this.cacheControl);
      await this.server.send(200, contentTypeOf(candidate), content);
      return true;
    }
    return false;
  }

  async upload(): Promise<void> {}

  private candidates(path: string): string[] {
    if (!this.isDirectory) return [this.path];
    const file = this.path + path.slice(this.uri.length);
    return file.endsWith('/') ? [`${file}index.htm`, `${file}index.html`] : [file];
  }
}
