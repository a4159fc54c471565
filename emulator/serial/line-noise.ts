/**
 * What a receiver at the wrong baud rate makes of a line: the bits as they are sent (8N1), sampled where the receiver takes
 * their middles to be. Pure, so the garbage follows from the bytes. Source: spec chapter 05 §1; `--serial-baud-faithful`.
 */

const FRAME_BITS = 10;
/** Receivers sample in the middle of a bit; a rate this close reads every byte right. */
const TOLERANCE = 0.03;

/**
 * @param bytes sent back to back, the line idle before and after
 * @param sentBaud rate of the sender
 * @param heardBaud rate of the receiver
 * @returns what the receiver reads; a frame whose stop bit is wrong counts as it was read
 */
export function asHeardAt(bytes: Uint8Array, sentBaud: number, heardBaud: number): Uint8Array {
  if (Math.abs(heardBaud / sentBaud - 1) <= TOLERANCE) return bytes;
  const bits = bytes.length * FRAME_BITS;
  /** The line's level at a time measured in the sender's bits. */
  const level = (time: number): 0 | 1 => {
    const bit = Math.floor(time);
    if (bit < 0 || bit >= bits) return 1;
    const inFrame = bit % FRAME_BITS;
    if (inFrame === 0) return 0;
    if (inFrame === FRAME_BITS - 1) return 1;
    return ((bytes[Math.floor(bit / FRAME_BITS)]! >> (inFrame - 1)) & 1) as 0 | 1;
  };
  const step = sentBaud / heardBaud; // one bit of the receiver, in bits of the sender
  const heard: number[] = [];
  let now = 0;
  while (now < bits) {
    // A start bit is a falling edge; levels change only where a bit of the sender begins.
    if (level(now) !== 0) {
      now = Math.floor(now) + 1;
      continue;
    }
    let byte = 0;
    for (let bit = 0; bit < 8; bit++) byte |= level(now + (bit + 1.5) * step) << bit;
    heard.push(byte);
    now += (FRAME_BITS - 0.5) * step;
    // After a missing stop bit the receiver waits for the line to rise.
    while (now < bits && level(now) === 0) now = Math.floor(now) + 1;
  }
  return Uint8Array.from(heard);
}
