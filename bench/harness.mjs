/**
 * Side-by-side measurement. All candidates of a row run in one process, in random order within each round, and the
 * result is the median of the per-round ratios: whatever slows the machine for a while slows both sides of a ratio.
 * Benchmark libraries run one candidate after the other, so drift of a shared machine enters their ratios.
 */

const ROUNDS = 41;
/** Samples of each candidate in a round, of which the shortest counts: interruptions only ever add. */
const SAMPLES = 3;
/** Short, so that a round sees one state of the machine. */
const SAMPLE_NS = 150_000;
/**
 * Before anything counts, each candidate runs so long, and on until it has not become faster for as long again: the
 * engine compiles in the background, and on a busy machine that takes a while.
 */
const WARM_UP_NS = 80_000_000;
const WARM_UP_MOST_NS = 1_500_000_000;

const now = () => Number(process.hrtime.bigint());

/**
 * @typedef {object} Row what one line of the table says
 * @property {string} name what was measured; stable from run to run
 * @property {string} versus what it was measured against
 * @property {number} ratio median of rounds: how many times faster than `versus`
 * @property {number} low second lowest round
 * @property {number} high second highest round
 * @property {'times faster'} unit
 * @property {number} [nanoseconds] median of one call of ours; only to place the ratio
 */

/**
 * Measures `ours` against each rival. Functions may be async.
 *
 * @param {object} row
 * @param {string} row.name
 * @param {() => unknown} row.ours
 * @param {Record<string, () => unknown>} row.rivals by the name to print
 * @param {number} [row.calls] calls a sample, one sample a round, no warming up: for what takes long. By default as many
 *   calls as take about 0.15 ms
 * @param {number} [row.rounds]
 * @param {(result: any, who: string) => void} row.check throws when a candidate's result is wrong; runs before timing
 * @returns {Promise<Row[]>} one for each rival
 */
export async function compare({ name, ours, rivals, calls, rounds = ROUNDS, check }) {
  const candidates = [{ who: 'ours', run: ours }, ...Object.entries(rivals).map(([who, run]) => ({ who, run }))];
  for (const candidate of candidates) {
    const result = candidate.run();
    candidate.isAsync = result instanceof Promise;
    check(await result, candidate.who);
  }
  for (const candidate of candidates) {
    candidate.times = [];
    candidate.calls = calls ?? (await calibrate(candidate));
  }
  for (let round = 0; round < rounds; round++) {
    for (const candidate of candidates) candidate.times.push(Number.POSITIVE_INFINITY);
    for (let i = 0; i < (calls ? 1 : SAMPLES); i++) {
      for (const candidate of shuffled(candidates)) {
        candidate.times[round] = Math.min(candidate.times[round], await sample(candidate));
      }
    }
  }
  const [first, ...others] = candidates;
  return others.map(({ who, times }) => {
    const ratios = times.map((time, round) => time / first.times[round]).sort(ascending);
    return {
      name,
      versus: who,
      ratio: middle(ratios),
      low: ratios[1] ?? ratios[0],
      high: ratios.at(-2) ?? ratios[0],
      unit: 'times faster',
      nanoseconds: middle([...first.times].sort(ascending)),
    };
  });
}

/** Nanoseconds a call. */
async function sample({ run, isAsync, calls }) {
  const start = now();
  if (isAsync) for (let i = 0; i < calls; i++) await run();
  else for (let i = 0; i < calls; i++) run();
  return (now() - start) / calls;
}

/** Warms up; how many calls make a sample. */
async function calibrate(candidate) {
  const start = now();
  let calls = 1;
  let best = Number.POSITIVE_INFINITY;
  let bestSince = start;
  while (now() - start < WARM_UP_NS || (now() - bestSince < WARM_UP_NS && now() - start < WARM_UP_MOST_NS)) {
    const each = await sample({ ...candidate, calls });
    if (each < 0.95 * best) {
      best = each;
      bestSince = now();
    }
    calls = Math.max(1, Math.round(SAMPLE_NS / Math.max(best, 1)));
  }
  return calls;
}

const ascending = (a, b) => a - b;
const middle = (sorted) => sorted[sorted.length >> 1];

function shuffled(items) {
  const order = [...items];
  for (let i = order.length; i-- > 1; ) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
