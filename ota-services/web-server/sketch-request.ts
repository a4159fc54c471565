/** What a sketch can ask about the request that is being served. Source: spec chapter 04 §2.3, §3, §7. */
import type { Md5 } from '../ports.ts';
import { equalsIgnoreCase } from './arduino-string.ts';
import { urlDecode } from './arguments.ts';
import { type Challenge, credentialHash, isBasicGood, isDigestGood } from './authentication.ts';
import { type ByteText, toByteText, toText } from './byte-text.ts';
import { emptyRequest, type HttpMethod, type Request } from './parsed-request.ts';

/** Two headers are always kept. */
const ALWAYS_COLLECTED = ['Authorization', 'If-None-Match'];

/** Texts are empty for what did not come. */
export abstract class SketchRequest {
  protected request: Request = emptyRequest();
  protected headerNames: readonly string[] = ALWAYS_COLLECTED;
  /** Of the last 401. */
  protected challenge: Challenge = { realm: '', nonce: '', opaque: '' };

  protected constructor(private readonly startMd5: () => Md5) {}

  /** The path, not decoded, without the query. */
  uri(): string {
    return toText(this.request.path);
  }

  method(): HttpMethod {
    return this.request.method;
  }

  /** Value of the first argument of that name, or of the one at that index. The raw body is `plain`, at index `args()`. */
  arg(which: string | number): string {
    if (typeof which === 'number') {
      const { args, plain } = this.request;
      return toText(which === args.length ? (plain ?? '') : (args[which]?.value ?? ''));
    }
    return toText(this.findArgument(which) ?? '');
  }

  argName(index: number): string {
    const { args, plain } = this.request;
    return index === args.length && plain !== undefined ? 'plain' : toText(args[index]?.key ?? '');
  }

  /** How many arguments there are, `plain` not counted. */
  args(): number {
    return this.request.args.length;
  }

  hasArg(name: string): boolean {
    return this.findArgument(name) !== undefined;
  }

  /** Names of the headers to keep, besides `Authorization` and `If-None-Match`; replaces those of an earlier call. */
  collectHeaders(...names: string[]): void {
    this.headerNames = [...ALWAYS_COLLECTED, ...names];
  }

  /** A kept header by its name, in any case, or by its index. */
  header(which: string | number): string {
    return toText(this.headerBytes(which));
  }

  headerName(index: number): string {
    return this.headerNames[index] ?? '';
  }

  /** How many headers are kept, whether or not they came. */
  headers(): number {
    return this.headerNames.length;
  }

  hasHeader(name: string): boolean {
    return this.headerBytes(name) !== '';
  }

  hostHeader(): string {
    return toText(this.request.host);
  }

  urlDecode(text: string): string {
    return toText(urlDecode(toByteText(text)));
  }

  /** True when the request carries these credentials, as Basic or Digest. */
  authenticate(user: string, password: string): boolean {
    const [userBytes, passwordBytes] = [toByteText(user), toByteText(password)];
    if (isBasicGood(this.headerBytes('Authorization'), userBytes, passwordBytes)) return true;
    return this.isDigest(user, (realm) => credentialHash(this.startMd5, userBytes, realm, passwordBytes));
  }

  /** Digest only. @param h1 see {@link SketchRequest.credentialHash} */
  authenticateDigest(user: string, h1: string): boolean {
    return this.isDigest(user, () => h1);
  }

  credentialHash(user: string, realm: string, password: string): string {
    return credentialHash(this.startMd5, toByteText(user), toByteText(realm), toByteText(password));
  }

  private findArgument(name: string): ByteText | undefined {
    const { args, plain } = this.request;
    const key = toByteText(name);
    const found = args.find((argument) => argument.key === key)?.value;
    return found ?? (name === 'plain' ? plain : undefined);
  }

  private headerBytes(which: string | number): ByteText {
    const index =
      typeof which === 'number' ? which : this.headerNames.findIndex((name) => equalsIgnoreCase(name, which));
    return this.request.headers[index] ?? '';
  }

  private isDigest(user: string, h1: (realm: ByteText) => ByteText): boolean {
    const request = { authorization: this.headerBytes('Authorization'), method: this.request.method };
    return isDigestGood(this.startMd5, request, toByteText(user), h1, this.challenge);
  }
}
