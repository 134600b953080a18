/**
 * A copy in random order (Fisher–Yates).
 * @param random a number in [0, 1)
 */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    // Both indexes lie inside.
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}
