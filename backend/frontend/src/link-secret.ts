/** The secret of a link, `/o/<id>#<secret>`: 32 characters of base32, in the mail printed as eight groups of four. */

const SEPARATOR = /#|%23|%2523/i
const NOISE = /[\s\-\u2010-\u2015._]+/g
const LOOK_ALIKES: Record<string, string> = { '0': 'o', '1': 'l', '8': 'b' }

/**
 * The secret in what somebody typed or pasted, also a whole link; nothing when it is no secret. Capitals, spaces and
 * hyphens do not matter, and 0, 1 and 8, which never occur, count as the letters that they look like.
 */
export function parseSecret(text: string): string | undefined {
  const parts = text.trim().split(SEPARATOR)
  const folded = (parts[parts.length - 1] ?? '')
    .replace(NOISE, '')
    .toLowerCase()
    .replace(/[018]/g, (digit) => LOOK_ALIKES[digit] ?? digit)
  return /^[a-z2-7]{32}$/.test(folded) ? folded : undefined
}

export interface Recovered {
  readonly secret: string
  /** The page's address without the secret: path and query. */
  readonly address: string
}

/**
 * The secret in a page's own address. Mail gateways turn `#` into `%23` or, encoding twice, `%2523`, and put parameters
 * of their own behind it. Nothing when there is no secret in it: then it was cut off on the way.
 */
export function recoverSecret(address: string): Recovered | undefined {
  const [before = '', ...rest] = address.split(SEPARATOR)
  for (const part of rest) {
    const [candidate = '', query] = part.split(/[?&/]/, 2)
    const secret = parseSecret(candidate)
    if (secret === undefined) continue
    // The language was chosen on this page, behind a secret that still stood in the path.
    const language = query !== undefined && /^language=\w+$/.test(query) ? `?${query}` : ''
    return { secret, address: before.includes('?') ? before : before + language }
  }
  return undefined
}
