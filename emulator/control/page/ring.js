/**
 * The last entries of a list without end.
 * @template T
 */
export class Ring {
  /** @param {number} limit entries kept */
  constructor(limit) {
    this.limit = limit;
    /** @type {T[]} */
    this.items = [];
    this.start = 0;
    /** Entries ever pushed. */
    this.total = 0;
  }

  get length() {
    return this.items.length;
  }

  /** Entries pushed and no longer kept. */
  get dropped() {
    return this.total - this.items.length;
  }

  /** @param {T} item */
  push(item) {
    this.total++;
    if (this.items.length < this.limit) {
      this.items.push(item);
      return;
    }
    this.items[this.start] = item;
    this.start = (this.start + 1) % this.limit;
  }

  /**
   * @param {number} index 0 is the oldest kept
   * @returns {T | undefined}
   */
  at(index) {
    return this.items[(this.start + index) % this.items.length];
  }

  get last() {
    return this.length === 0 ? undefined : this.at(this.length - 1);
  }

  clear() {
    this.items = [];
    this.start = 0;
    this.total = 0;
  }
}
