/** A mistake of the user, told without a stack trace: what, where, what to do. Exit codes: design.md §4. */
export class UserError extends Error {
  override readonly name = 'UserError';
  constructor(
    message: string,
    /** 2: wrong usage or bad input file; 1: the device or the update failed. */
    readonly exitCode: 1 | 2 = 2,
  ) {
    super(message);
  }
}
