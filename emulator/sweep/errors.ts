/** A sweep that cannot be: says what is wrong with which input. The command line ends with 2. */
export class SweepInputError extends Error {
  override readonly name = 'SweepInputError';
}
