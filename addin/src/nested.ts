/**
 * Signing in inside Outlook itself (nested app authentication): Outlook gives the pane a token of the person who is signed in there.
 * A script of its own, because `msal-browser` is larger than all the rest, and only current Outlooks can use it.
 */
import { createNestablePublicClientApplication, InteractionRequiredAuthError } from '@azure/msal-browser'
import type { NestedFacts, NestedToken } from './api/client'

/** Gets tokens for our API; kept in memory only. Without a quiet way, and when not `isQuiet`, Outlook asks the person. */
export async function nestedTokens(facts: NestedFacts): Promise<NestedToken> {
  const application = await createNestablePublicClientApplication({
    auth: { clientId: facts.client_id, authority: facts.authority },
    cache: { cacheLocation: 'memoryStorage' },
    system: { loggerOptions: { loggerCallback: () => undefined, piiLoggingEnabled: false } },
  })
  const request = { scopes: [facts.scope] }
  return async (isQuiet) => {
    try {
      return (await application.acquireTokenSilent(request)).accessToken
    } catch (error) {
      if (isQuiet || !(error instanceof InteractionRequiredAuthError)) throw error
      return (await application.acquireTokenPopup(request)).accessToken
    }
  }
}
