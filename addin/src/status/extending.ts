/** How long a transfer can be made available. */
const DAY_MS = 86_400_000
const FOUR_WEEKS = 28 // days

/**
 * Days from now, as the API counts, until four weeks after it ends as things are; the policy's longest when that is too long. Nothing
 * when it cannot end later than it does.
 */
export function daysForFourWeeksMore(expiresAt: string, now: Date, longest: number): number | undefined {
  const left = (new Date(expiresAt).getTime() - now.getTime()) / DAY_MS
  const wanted = Math.min(Math.floor(Math.max(left, 0)) + FOUR_WEEKS, longest)
  return wanted > left ? wanted : undefined
}
