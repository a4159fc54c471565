/** What must hold whatever happens to a device; the numbers are those of docs/fault-model.md §6. */

export const INVARIANTS = {
  I1: 'what runs is whole: an application that starts sound is, byte for byte, one that was uploaded',
  I2: 'until the bootloader has begun to copy, the old application is whole and starts',
  I3: 'a reset never harms: only a loss of power or of RTC memory inside the copy may leave a device that does not start',
  I4: 'what was copied whole is what starts from then on, however often the power fails',
  I5: 'a command is carried out once: after a copy that ended well nothing is copied until the next update has ended well',
  I6: 'an update touches its own areas only: a sketch no file system, a file system no sketch, neither of them the settings',
  I7: 'a device that runs can be updated: the next undisturbed update succeeds',
  I8: 'an image with a wrong MD5 is refused and changes nothing that starts',
  I9: 'RTC memory survives every reset and no loss of power',
  I10: 'a dead device comes back by a serial upload, and says so',
  I11: 'events are numbered without a gap, and device time never goes back',
  I12: 'nothing hangs: every start comes to something, every update to an end',
} as const;

export type InvariantId = keyof typeof INVARIANTS;

/** An invariant does not hold. The message says which, and what was seen. */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation';
  constructor(
    readonly id: InvariantId,
    readonly seen: string,
  ) {
    super(`${id}: ${INVARIANTS[id]}; seen: ${seen}`);
  }
}
