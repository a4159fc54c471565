/** Which branch of the chip is in which table. */

/** The update as it goes on, one operation after the other. */
export const SLOT_TRUNK = 0;
/** What a finished update compares with. */
export const SLOT_OLD = 1;
export const SLOT_NEW = 2;
/** A cut and what follows. */
export const SLOT_TRIAL = 3;
/** The state after a first cut, its recovery step by step, and a second cut. */
export const SLOT_FIRST = 4;
export const SLOT_RECOVERY = 5;
export const SLOT_SECOND = 6;
export const SLOT_TORN = 7;
/** The copy of an update that nothing disturbs. */
export const SLOT_CLEAN = 8;
export const SLOTS = 9;
