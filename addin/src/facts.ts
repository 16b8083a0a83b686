import type { NestedFacts } from './api/client'

/** What the server tells the pane before anyone signed in; nothing of anyone. */
export interface Facts {
  readonly api_url: string
  readonly portal_url: string
  readonly sign_in_url: string
  /** Whom people call when it keeps failing; empty when there is no number. */
  readonly help_phone: string
  /** Whether the server puts a copy without the link among the sender's sent items by itself. */
  readonly keeps_sent_copy: boolean
  /** How to sign in inside Outlook itself; null without Entra ID. */
  readonly nested: NestedFacts | null
}
