/** What becomes of each attachment and each chosen file. Nothing of Outlook in here, and nothing that is shown. */
import type { Policy } from '../api/client'
import type { Attachment } from '../office/draft'

/**
 * `large`: Outlook may not manage to hand it over, and is asked. `replaced`: a chosen file of the same name goes instead. `cloud`: a
 * link to a file, not the file. `unreadable`: Outlook was asked, and gave no bytes.
 */
export type Fate = 'willGo' | 'large' | 'replaced' | 'cloud' | 'unreadable' | 'noExtension' | 'notAllowed' | 'tooLarge' | 'empty'

// Clients hand attachments over as base64 in one piece; from about here some of them fail (office-js #4163, #5830).
const LARGE_BYTES = 20_000_000

/** Whether sending has no use as it stands. What Outlook did not hand over is asked once more: it may have been busy. */
export function isStopping(fate: Fate): boolean {
  return ['cloud', 'noExtension', 'notAllowed', 'tooLarge', 'empty'].includes(fate)
}

/** The name under which an attachment arrives: a mail becomes a file. */
export function fileName(attachment: Attachment): string {
  return attachment.kind === 'mail' && !attachment.name.endsWith('.eml') ? `${attachment.name}.eml` : attachment.name
}

export function extensionOf(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1).toLowerCase()
}

export function fateOfFile(file: Pick<File, 'name' | 'size'>, policy: Pick<Policy, 'extensions' | 'limits'>): Fate {
  if (!file.name.includes('.')) return 'noExtension'
  if (!policy.extensions.includes(extensionOf(file.name))) return 'notAllowed'
  if (file.size === 0) return 'empty'
  return file.size > policy.limits.document_bytes ? 'tooLarge' : 'willGo'
}

/** `unreadable` holds the identifiers of attachments that Outlook did not hand over. */
export function fateOf(
  attachment: Attachment,
  policy: Pick<Policy, 'extensions' | 'limits'>,
  files: readonly Pick<File, 'name'>[],
  unreadable: ReadonlySet<string>,
): Fate {
  const name = fileName(attachment)
  const isReplaced = files.some((file) => file.name.toLowerCase() === name.toLowerCase())
  if (isReplaced) return 'replaced'
  if (attachment.kind === 'cloud') return 'cloud'
  if (unreadable.has(attachment.id)) return 'unreadable'
  const fate = fateOfFile({ name, size: attachment.sizeBytes }, policy)
  return fate === 'willGo' && attachment.sizeBytes >= LARGE_BYTES ? 'large' : fate
}
