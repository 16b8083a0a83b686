/** The draft that people are writing. */
import { Calls, listen, OfficeProblem } from './calls'

export interface Addressed {
  readonly name: string
  readonly email: string
  readonly isList: boolean
}

/** How an attachment can be had. `cloud`: only as a link. `mail`: as a file, made of it. `picture`: it stands in the text. */
export type AttachmentKind = 'file' | 'cloud' | 'mail' | 'picture'

export interface Attachment {
  readonly id: string
  readonly name: string
  readonly sizeBytes: number
  readonly kind: AttachmentKind
}

export interface Draft {
  recipients(): Promise<readonly Addressed[]>
  subject(): Promise<string>
  text(): Promise<string>
  /** The address that the draft goes out from: a shared mailbox has its own. Empty where the client does not tell. */
  from(): Promise<string>
  /** Pictures inside the text are among them. Nothing where this Outlook tells of none (Exchange on-premises, web). */
  attachments(): Promise<readonly Attachment[] | undefined>
  /** The bytes. Rejects with `OfficeProblem` when Outlook gives none. */
  read(attachment: Attachment): Promise<File>
  /** Calls `listener` when recipients or attachments change, where the client tells. */
  onChange(listener: () => void): void
  /** Mark the draft as sent securely, so that the guard stops it from leaving again. Kept when the draft is reopened. */
  mark(transferId: string): Promise<void>
  /** The mark, if there is one. */
  marked(): Promise<string>
  /** Take out everything that must not leave in the clear: attachments one at a time, recipients, text. */
  empty(statement: string): Promise<void>
  /** Save, and close the window where the client can; returns whether it did. */
  saveAndClose(): Promise<boolean>
  /** Make the empty draft a mail to the sender alone, which the guard lets go: sent by hand, it stands among the sent items. */
  makeCopy(email: string): Promise<void>
  notify(text: string): Promise<void>
  clearNotice(): Promise<void>
}

const SENT_HEADER = 'x-zegelpost-transfer'
const COPY_HEADER = 'x-zegelpost-copy'
const NOTICE = 'zegelpost'
const LONGEST_NOTICE = 150
// Of an attachment from the server to the pane, before we stop waiting.
const SLOWEST_BYTES_PER_MS = 200

export function draftOf(item: Office.MessageCompose, calls: Calls): Draft {
  const list = (name: 'to' | 'cc' | 'bcc'): Promise<Office.EmailAddressDetails[]> =>
    calls.run(name, (done) => item[name].getAsync(done))
  const attachments = (): Promise<Office.AttachmentDetailsCompose[]> =>
    calls.run('attachments', (done) => item.getAttachmentsAsync(done))
  const header = (name: string, value: string): Promise<void> =>
    calls.run('header', (done) => item.internetHeaders.setAsync({ [name]: value }, done))
  const save = (): Promise<string> => calls.run('save', (done) => item.saveAsync(done))

  return {
    async recipients() {
      const found = [...(await list('to')), ...(await list('cc')), ...(await list('bcc'))]
      return found.map((each) => ({
        name: each.displayName,
        email: each.emailAddress,
        isList: each.recipientType === Office.MailboxEnums.RecipientType.DistributionList,
      }))
    },
    subject: () => calls.run('subject', (done) => item.subject.getAsync(done)),
    text: () => calls.run('text', (done) => item.body.getAsync(Office.CoercionType.Text, done)),
    from: () =>
      calls
        .run<Office.EmailAddressDetails>('from', (done) => item.from.getAsync(done))
        .then((from) => from.emailAddress)
        .catch(() => ''),
    async attachments() {
      const found = await unlessMissing(attachments())
      return found?.map(attachmentOf)
    },
    async read(attachment) {
      const content = await calls.run<Office.AttachmentContent>(
        'attachment',
        (done) => item.getAttachmentContentAsync(attachment.id, done),
        attachment.sizeBytes / SLOWEST_BYTES_PER_MS,
      )
      return fileOf(attachment, content)
    },
    onChange(listener) {
      // Older clients tell nothing; the pane looks again by itself.
      for (const event of [Office.EventType.RecipientsChanged, Office.EventType.AttachmentsChanged]) listen(item, event, listener)
    },
    async mark(transferId) {
      // Saved before and after: only then does the header survive that the draft is closed and opened again.
      await save()
      await unlessMissing(header(SENT_HEADER, transferId))
      await save()
    },
    async marked() {
      const found = await calls
        .run<Record<string, string>>('header', (done) => item.internetHeaders.getAsync([SENT_HEADER], done))
        .catch(() => ({}) as Record<string, string>)
      return found[SENT_HEADER] ?? ''
    },
    async empty(statement) {
      // One at a time, and listed anew after each: several at once hang (office-js #4627).
      for (let left = await unlessMissing(attachments()); ; left = await attachments()) {
        const next = left?.find((each) => !each.isInline)
        if (next === undefined) break
        await calls.run('remove', (done) => item.removeAttachmentAsync(next.id, done))
        const after = await attachments()
        if (after.some((each) => each.id === next.id)) throw new OfficeProblem('remove', 'failed')
      }
      for (const name of ['to', 'cc', 'bcc'] as const) {
        await calls.run(name, (done) => item[name].setAsync([], done))
      }
      await calls.run('text', (done) => item.body.setAsync(statement, { coercionType: Office.CoercionType.Text }, done))
    },
    async saveAndClose() {
      await save()
      try {
        await calls.run('close', (done) => item.closeAsync({ discardItem: false }, done))
        return true
      } catch {
        return false
      }
    },
    async makeCopy(email) {
      await calls.run('to', (done) => item.to.setAsync([{ displayName: email, emailAddress: email }], done))
      await unlessMissing(header(COPY_HEADER, '1'))
      await save()
    },
    notify: (text) =>
      calls.run('notice', (done) =>
        item.notificationMessages.replaceAsync(
          NOTICE,
          {
            type: Office.MailboxEnums.ItemNotificationMessageType.ProgressIndicator,
            message: text.slice(0, LONGEST_NOTICE),
          },
          done,
        ),
      ),
    clearNotice: () => calls.run('notice', (done) => item.notificationMessages.removeAsync(NOTICE, done)),
  }
}

/** What this client can't do is left out; that it failed or kept silent is not forgiven. */
async function unlessMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (error instanceof OfficeProblem && error.kind === 'missing') return undefined
    throw error
  }
}

function attachmentOf(each: Office.AttachmentDetailsCompose): Attachment {
  const { Cloud, Item } = Office.MailboxEnums.AttachmentType
  const kind = each.isInline ? 'picture' : each.attachmentType === Cloud ? 'cloud' : each.attachmentType === Item ? 'mail' : 'file'
  return { id: each.id, name: each.name, sizeBytes: each.size, kind }
}

function fileOf(attachment: Attachment, content: Office.AttachmentContent): File {
  const { Base64, Eml, ICalendar } = Office.MailboxEnums.AttachmentContentFormat
  if (content.format === Eml || content.format === ICalendar) {
    const ending = content.format === Eml ? '.eml' : '.txt'
    const name = attachment.name.endsWith(ending) ? attachment.name : attachment.name + ending
    return new File([content.content], name)
  }
  if (content.format !== Base64 || (content.content === '' && attachment.sizeBytes > 0)) {
    throw new OfficeProblem('attachment', 'failed')
  }
  const bytes = Uint8Array.from(atob(content.content), (char) => char.charCodeAt(0))
  return new File([bytes], attachment.name)
}
