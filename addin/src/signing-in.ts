/** Asking Outlook for a token, where it can give one; the script that does so is fetched only then. */
import type { NestedFacts, NestedToken } from './api/client'

const QUIET_PATIENCE_MS = 10_000

/** `script` is where it is. */
export function nestedBy(script: string, facts: NestedFacts): NestedToken {
  let loading: Promise<NestedToken> | undefined
  return async (isQuiet) => {
    const token = (async () => {
      loading ??= import(script).then(({ nestedTokens }: typeof import('./nested')) => nestedTokens(facts))
      return (await loading)(isQuiet)
    })()
    if (!isQuiet) return token
    // A host that says it can and then keeps silent must not keep people waiting: they have a button.
    return Promise.race([
      token,
      new Promise<string>((_, reject) => setTimeout(() => reject(new Error('late')), QUIET_PATIENCE_MS)),
    ])
  }
}
