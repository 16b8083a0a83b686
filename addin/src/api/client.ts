/** The server's API. The token lives in memory only: a pane has no cookies that last, and storage is others' to read. */

export interface Problem {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly fields?: Readonly<Record<string, { readonly detail: string }>>
}

/** The server said no. */
export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.code)
  }
}

/** The server did not answer. */
export class Unreachable extends Error {}

export interface Policy {
  readonly staff_domains: readonly string[]
  readonly extensions: readonly string[]
  readonly limits: { readonly document_bytes: number }
  readonly default_expiry_days: number
  readonly longest_expiry_days: number
  /** How recipients may prove who they are; `spoken` among them when codes can be read out on the telephone. */
  readonly methods: readonly string[]
  /** Without one, there is nothing to send from when a number comes later. */
  readonly has_sender_copy: boolean
}

export interface Me {
  readonly name: string
  readonly email: string
  readonly departments: readonly { readonly id: string; readonly name: string; readonly email: string }[]
}

export interface Template {
  readonly name: string
  readonly text: string
  readonly use: string
  readonly is_default: boolean
}

export interface Contact {
  readonly id: string
  readonly email: string
  readonly name: string
  readonly mobile: string | null
  readonly number_worked_at: string | null
  /** `exchange` and `directory` are kept by others: the number is a proposal, as old as `changed_at`. */
  readonly source: string
  readonly changed_at: string
}

export interface Recipient {
  readonly name: string
  readonly email: string
  readonly mobile?: string
  /** Left out: a code by text message, or signing in for colleagues. */
  readonly method?: 'spoken'
  /** The others get it now; this one when `complete` gives a number. */
  readonly is_parked?: boolean
}

export interface NewTransfer {
  readonly subject: string
  readonly reference: string
  readonly note: string
  readonly recipients: readonly Recipient[]
  readonly expires_in_days: number
  readonly language: string
  readonly department_id?: string
}

export interface SentRecipient {
  readonly id: string
  readonly name: string
  readonly email: string
  /** How far they are: `parked`, `locked`, `blocked`, `undelivered`, `delayed`, `waiting`, `opened`, `fetched`. */
  readonly state: string
  readonly opened_at: string | null
  readonly fetched_at: string | null
  /** The latest code, and what became of it. */
  readonly code: { readonly state: string } | null
}

export interface Transfer {
  readonly id: string
  readonly state: string
  /** Null when only the recipients' links open it. */
  readonly subject: string | null
  readonly reference: string | null
  readonly sent_at: string | null
  readonly expires_at: string | null
  readonly recipients: readonly SentRecipient[]
}

/** One moment, by the server's clock. */
interface Moment {
  readonly utc: string
}

/** The evidence of one transfer, as far as it is shown here. */
export interface Report {
  readonly recipients: readonly {
    readonly number: number
    readonly name: string
    readonly email: string
    readonly proved: Moment | null
  }[]
  readonly documents: readonly { readonly number: number; readonly name: string | null }[]
  readonly fetched: readonly {
    readonly recipient_number: number
    readonly document_number: number
    readonly first: Moment
    readonly count: number
  }[]
}

/** What Entra ID has to know to give a token for our API. */
export interface NestedFacts {
  readonly client_id: string
  readonly authority: string
  readonly scope: string
}

/** A token that Outlook gives; `isQuiet` asks nobody anything, and rejects rather than that. */
export type NestedToken = (isQuiet: boolean) => Promise<string>

// What the server takes in one question.
const MOST_LOOKED_UP = 100

export class Client {
  private token = ''

  /**
   * `signIn` gets a one-time code from a person; asked for once at a time, whoever needs it. With `nested`, Outlook is asked first,
   * and the person only when that comes to nothing. `where` is the Outlook that this runs in, for who keeps it up to date.
   */
  constructor(
    private readonly apiUrl: string,
    private readonly signIn: () => Promise<string>,
    private readonly language: string,
    private readonly fetching: typeof fetch = (...rest) => fetch(...rest),
    private readonly nested?: NestedToken,
    private readonly where = '',
  ) {}

  private signing: Promise<void> | undefined

  get isSignedIn(): boolean {
    return this.token !== ''
  }

  headers(): Record<string, string> {
    return { Authorization: `Bearer ${this.token}` }
  }

  get uploadsUrl(): string {
    return `${this.apiUrl}/uploads`
  }

  /** Forget a token that the server no longer takes; the next call asks anew. */
  forget(): void {
    this.token = ''
  }

  async signedIn(): Promise<void> {
    if (this.isSignedIn) return
    this.signing ??= this.exchange().finally(() => (this.signing = undefined))
    await this.signing
  }

  /** Sign in without asking anybody anything; says whether that worked. */
  async signedInQuietly(): Promise<boolean> {
    if (!this.nested) return this.isSignedIn
    try {
      this.signing ??= this.exchange(true).finally(() => (this.signing = undefined))
      await this.signing
    } catch {
      // Whatever it was: people have a button.
    }
    return this.isSignedIn
  }

  me = (): Promise<Me> => this.call('GET', '/me', undefined, { 'Zegelpost-Outlook': this.where })
  policy = (): Promise<Policy> => this.call('GET', '/policy')
  templates = async (): Promise<readonly Template[]> =>
    (await this.call<{ items: Template[] }>('GET', '/templates')).items.filter((each) => each.use === 'send')
  recent = async (): Promise<readonly Transfer[]> => (await this.call<{ items: Transfer[] }>('GET', '/transfers')).items
  transfer = (id: string): Promise<Transfer> => this.call('GET', `/transfers/${id}`)
  create = (transfer: NewTransfer): Promise<Transfer> => this.call('POST', '/transfers', transfer)
  change = (id: string, transfer: NewTransfer): Promise<Transfer> => this.call('PATCH', `/transfers/${id}`, transfer)
  send = (id: string): Promise<Transfer> => this.call('POST', `/transfers/${id}/send`)
  remind = (id: string): Promise<unknown> => this.call('POST', `/transfers/${id}/remind`)
  extend = (id: string, days: number): Promise<Transfer> => this.call('POST', `/transfers/${id}/extend`, { days })
  revoke = (id: string): Promise<unknown> => this.call('POST', `/transfers/${id}/revoke`, {})
  report = (id: string): Promise<Report> => this.call('GET', `/transfers/${id}/report.json`)
  complete = (id: string, recipientId: string, mobile: string): Promise<unknown> =>
    this.call('POST', `/transfers/${id}/recipients/${recipientId}/complete`, { mobile })
  reissue = (id: string, recipientId: string): Promise<unknown> =>
    this.call('POST', `/transfers/${id}/recipients/${recipientId}/reissue`)
  keep = (contact: Recipient): Promise<unknown> => this.call('POST', '/contacts', contact)
  /** Of a contact that an address book of others lists, this makes an own version. */
  renumber = (contactId: string, mobile: string): Promise<unknown> => this.call('PATCH', `/contacts/${contactId}`, { mobile })

  async lookUp(emails: readonly string[]): Promise<readonly Contact[]> {
    const found: Contact[] = []
    for (let at = 0; at < emails.length; at += MOST_LOOKED_UP) {
      const some = emails.slice(at, at + MOST_LOOKED_UP)
      found.push(...(await this.call<{ contacts: Contact[] }>('POST', '/contacts/lookup', { emails: some })).contacts)
    }
    return found
  }

  private async exchange(isQuiet = false): Promise<void> {
    if (this.nested) {
      try {
        await this.redeem('/sign-in/provider', { access_token: await this.nested(isQuiet) })
        return
      } catch (error) {
        // Also when the server knows of no account that goes with it: the window opens one, or joins it.
        if (isQuiet) throw error
      }
    }
    await this.redeem('/sign-in/code', { code: await this.signIn() })
  }

  private async redeem(path: string, proof: object): Promise<void> {
    const answer = await this.ask('POST', path, proof)
    this.token = ((await this.read(answer)) as { access_token: string }).access_token
  }

  /** Signs in again when the token ran out; nothing that was typed or uploaded is lost by that. */
  private async call<T>(method: string, path: string, body?: unknown, more: Record<string, string> = {}): Promise<T> {
    await this.signedIn()
    let answer = await this.ask(method, path, body, more)
    if (answer.status === 401) {
      this.forget()
      await this.signedIn()
      answer = await this.ask(method, path, body, more)
    }
    return (await this.read(answer)) as T
  }

  private async ask(method: string, path: string, body?: unknown, more: Record<string, string> = {}): Promise<Response> {
    const headers: Record<string, string> = { 'Accept-Language': this.language, ...more }
    if (this.isSignedIn) Object.assign(headers, this.headers())
    if (body !== undefined) headers['Content-Type'] = 'application/json'
    try {
      return await this.fetching(this.apiUrl + path, {
        method,
        headers,
        credentials: 'omit',
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
    } catch {
      throw new Unreachable()
    }
  }

  private async read(answer: Response): Promise<unknown> {
    if (answer.status === 204) return undefined
    const content: unknown = await answer.json().catch(() => undefined)
    if (answer.ok) return content
    if (answer.status >= 500) throw new Unreachable()
    throw new Refused({ code: 'refused', detail: '', ...(content as object), status: answer.status })
  }
}
