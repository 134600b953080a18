import { loadCorpus, loadFinds, saveCorpus, saveFind } from './corpora.ts';
import { counterCount, instrumentSources } from './coverage.ts';

/*
 * `npm run fuzz -- [seconds] [seed] [--save] [targets…]`: changes inputs of everything that reads
 * what strangers send, and keeps those that take new branches to change them further. Begins with
 * the corpora of fixtures/corpora; `--save` replaces them by what was learned, without what is
 * superfluous. What throws, breaks a bound or takes too long is written to fixtures/finds and ends
 * the run.
 */
instrumentSources();
const { TARGETS } = await import('./targets/index.ts');
const { Search, minimise } = await import('./search.ts');

const DEFAULT_SECONDS = 60;
const MAX_SLICE_MS = 2000;
const MAX_KEPT = 400;

const words = process.argv.slice(2);
const isSaving = words.includes('--save');
const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
const names = words.filter((word) => /^[a-z]/.test(word));
const [seconds = DEFAULT_SECONDS, seed = 1] = numbers;
const chosen = TARGETS.filter(({ name }) => names.length === 0 || names.includes(name));
if (chosen.length === 0) throw new Error(`targets: ${TARGETS.map(({ name }) => name).join(', ')}`);

const endsAt = performance.now() + seconds * 1000;
const sliceMs = Math.min(MAX_SLICE_MS, (seconds * 1000) / chosen.length / 2);
const searches = chosen.map((target, i) => {
  const inputs = [...loadCorpus(target.name), ...loadFinds(target.name).map(([, input]) => input)];
  return new Search(target, inputs, seed + i);
});

while (performance.now() < endsAt) {
  for (const search of searches) {
    const until = performance.now() + sliceMs;
    const find = search.run(() => performance.now() >= until);
    if (find === null) continue;
    const { name } = search.target;
    const path = saveFind(name, `new-${search.runs}`, find.input);
    process.stderr.write(`${name}: ${find.error}\n${path}\n`);
    process.exit(1);
  }
}
for (const { target, runs, features, kept } of searches) {
  process.stdout.write(
    `${target.name.padEnd(18)}${String(runs).padStart(9)} inputs${String(features).padStart(7)} branches, ${kept.length} kept\n`,
  );
  if (isSaving) saveCorpus(target.name, minimise(target, kept).slice(0, MAX_KEPT));
}
const total = searches.reduce((sum, { runs }) => sum + runs, 0);
process.stdout.write(
  `${total} inputs in ${seconds} s, ${counterCount()} counters: nothing was found\n`,
);
