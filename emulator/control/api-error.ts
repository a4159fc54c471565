/** Answers that are errors: `{ "error": { "code", "message" } }` with a fitting status. Contract: design.md §6. */

export class ApiError extends Error {
  override readonly name = 'ApiError';

  /**
   * @param code a stable word for programs
   * @param headers sent along, e.g. `Allow`
   * @param details further fields of the error object
   */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }

  /** The body of the answer. */
  body(): string {
    return JSON.stringify({ error: { code: this.code, message: this.message, ...this.details } });
  }
}

export const badRequest = (message: string, code = 'bad-request'): ApiError => new ApiError(400, code, message);
export const conflict = (code: string, message: string): ApiError => new ApiError(409, code, message);
