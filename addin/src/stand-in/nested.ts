/** Outlook's side of nested app authentication, as `msal-browser` speaks to it. Whoever plays Microsoft gives the tokens. */

export interface AskedToken {
  readonly clientId: string
  readonly authority: string
  readonly scope: string
  /** Whether the person may be asked. */
  readonly isQuiet: boolean
}

/** The tokens, as JSON `{id_token, access_token}`, or a status of the bridge such as `USER_INTERACTION_REQUIRED`. */
export type Issuer = (asked: AskedToken) => Promise<string>

interface Request {
  readonly method: string
  readonly requestId: string
  readonly tokenParams?: { readonly clientId: string; readonly authority: string; readonly scope: string }
}

/** What the real client puts into the pane's window as `nestedAppAuthBridge`. */
export function nestedBridge(issue: Issuer): object {
  const listeners: ((message: string) => void)[] = []

  async function answer(request: Request): Promise<object> {
    if (request.method === 'GetInitContext') {
      return { success: true, initContext: { sdkName: 'stand-in', sdkVersion: '1', capabilities: {}, accountContext: undefined } }
    }
    if (!request.tokenParams) return { success: false, error: { status: 'PERSISTENT_ERROR' } }
    const { clientId, authority, scope } = request.tokenParams
    const told = await issue({ clientId, authority, scope, isQuiet: request.method === 'GetToken' })
    if (!told.startsWith('{')) return { success: false, error: { status: told } }
    return {
      success: true,
      token: { ...(JSON.parse(told) as object), expires_in: 3600, scope },
      account: { environment: 'login.microsoftonline.com', homeAccountId: 'a.b', localAccountId: 'a', tenantId: 'b', username: 'x' },
    }
  }

  return {
    addEventListener: (_: string, listener: (message: string) => void) => void listeners.push(listener),
    postMessage: (text: string) => {
      const request = JSON.parse(text) as Request
      void answer(request).then((response) => {
        const message = JSON.stringify({ messageType: 'NestedAppAuthResponse', requestId: request.requestId, ...response })
        for (const each of listeners) each(message)
      })
    },
  }
}
