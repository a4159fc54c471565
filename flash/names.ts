/** Errors for a name that is not in a table: they say which names are near. */

const MAX_LISTED = 40;

/** Edits (insert, delete, replace) between two short texts. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const current = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = previous[j]! + (a[i] === b[j] ? 0 : 1);
      current.push(Math.min(replaced, previous[j + 1]! + 1, current[j]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}

/** Up to `limit` of `names` that a user may have meant by `name`, nearest first. */
export function nearestNames(name: string, names: readonly string[], limit = 3): string[] {
  const wanted = name.toLowerCase().slice(0, 64);
  if (wanted === '') return [];
  return names
    .map((candidate) => {
      const other = candidate.toLowerCase();
      const edits = editDistance(wanted, other);
      // Part of a name is as good as one typing error.
      return { candidate, distance: other.includes(wanted) ? Math.min(edits, 1) : edits };
    })
    .filter(({ distance }) => distance <= Math.max(1.5, wanted.length / 3))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}

/**
 * The error for a name that nothing has.
 *
 * @param kind what it should have been the name of, e.g. `board`
 */
export function unknownName(kind: string, name: string, names: readonly string[]): RangeError {
  const near = nearestNames(name, names);
  const hint = near.length > 0 ? `; did you mean ${near.join(', ')}?` : '';
  const listed = names.slice(0, MAX_LISTED).join(' ') + (names.length > MAX_LISTED ? ' …' : '');
  return new RangeError(`unknown ${kind} "${name.slice(0, 64)}"${hint} (known: ${listed})`);
}
