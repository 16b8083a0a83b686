/** Why an upload stopped: our own refusals before a byte travels, the server's, or an outage. */

/** An RFC 9457 problem: `title` and `detail` are sentences in the reader's language, `code` is stable. */
export interface Problem {
  readonly status: number
  readonly code: string
  readonly title: string
  readonly detail: string
}

export type Reason =
  | { readonly kind: 'empty' }
  /** Dragged in as a whole, which browsers can't send. */
  | { readonly kind: 'folder' }
  | { readonly kind: 'tooLarge'; readonly limitBytes: number }
  | { readonly kind: 'noExtension' }
  | { readonly kind: 'extensionNotAllowed'; readonly extension: string }
  /** What the server stored is not what this device holds. */
  | { readonly kind: 'damaged' }
  /** The file on this device was changed, moved or removed meanwhile. */
  | { readonly kind: 'unreadable' }
  /** Nobody is signed in any more. Told apart by its status: an answer to HEAD has no body to say so. */
  | { readonly kind: 'signedOut' }
  /** The server said no. */
  | { readonly kind: 'problem'; readonly problem: Problem }
  /** No usable answer, also after trying again. */
  | { readonly kind: 'outage' }

/** What the organisation accepts. The server checks again; this saves people an upload in vain. */
export interface Limits {
  /** Largest file, in bytes; 0 sets no limit. */
  readonly maxBytes: number
  /** Accepted endings in lower case without dot; empty accepts all. */
  readonly extensions: readonly string[]
}

/** The first thing wrong with a file by its name and size, if anything. */
export function refusal(file: { readonly name: string; readonly size: number }, limits: Limits): Reason | undefined {
  if (limits.extensions.length > 0) {
    const extension = /[^.]\.([^.\s]+)$/.exec(file.name)?.[1]?.toLowerCase()
    if (extension === undefined) return { kind: 'noExtension' }
    if (!limits.extensions.includes(extension)) return { kind: 'extensionNotAllowed', extension }
  }
  if (file.size === 0) return { kind: 'empty' }
  if (limits.maxBytes > 0 && file.size > limits.maxBytes) return { kind: 'tooLarge', limitBytes: limits.maxBytes }
  return undefined
}

/** The problem in an answer; nothing when the answer is of another kind, such as a proxy's error page. */
export function problemOf(status: number, contentType: string | undefined, body: string): Problem | undefined {
  if (!contentType?.toLowerCase().startsWith('application/problem+json')) return undefined
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const members = parsed as Record<string, unknown>
  const text = (name: string): string => (typeof members[name] === 'string' ? members[name] : '')
  if (text('title') === '' && text('detail') === '') return undefined
  return { status, code: text('code'), title: text('title'), detail: text('detail') }
}

/**
 * Whether the same upload may succeed later without anything else changing. Sessions can be renewed and storage can be
 * cleared; a refused type, size or content stays refused.
 */
export function mayTryAgain(status: number): boolean {
  return status === 0 || status >= 500 || [401, 403, 408, 409, 423, 425, 429].includes(status)
}
