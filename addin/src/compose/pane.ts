/** The pane beside a draft: shows what will happen to whom and what, and sends. */
import { type Client, type Me, type Policy, Refused, type Template, type Transfer } from '../api/client'
import { button, element } from '../element'
import type { Facts } from '../facts'
import { timesIn } from '../i18n/moments'
import { filled, type Words } from '../i18n/words'
import type { Attachment, Draft } from '../office/draft'
import type { Outlook } from '../office/outlook'
import { browserSurroundings } from '../upload/surroundings'
import { Choices } from './choices'
import { dropZone } from './drop-zone'
import { alreadyPage, notEmptiedPage, type Rest, sentPage } from './ending'
import { isOutlooks, isSignedOut, sentenceOf } from './explaining'
import { type Fate, fateOf, fateOfFile, isStopping } from './fates'
import { RecipientList } from './recipient-list'
import { documentRow, said } from './rows'
import { NotEmptied, NotHandedOver, type Order, Sending, type Step } from './sending'
import { statementOf } from './statement'
import { UploadList } from './upload-list'

const READ_AGAIN_MS = 400
// Of the subject, the sender and, in older clients, everything, Outlook does not tell that it changed.
const LOOK_AGAIN_MS = 3_000

/** What the pane stands on. */
export interface Desk {
  readonly root: HTMLElement
  readonly outlook: Outlook
  readonly draft: Draft
  readonly client: Client
  readonly facts: Facts
  readonly words: Words
  readonly language: 'nl' | 'en'
  readonly policy: Policy
  readonly me: Me
  readonly templates: readonly Template[]
  /** Called when a transfer was sent. */
  sent(transfer: Transfer): void
}

export class ComposePane {
  private readonly files: File[] = []
  /** Attachments that Outlook did not hand over, by identifier. */
  private readonly unreadable = new Set<string>()
  private attachments: readonly Attachment[] = []
  private hasPictures = false
  /** Whether this Outlook tells of attachments at all. */
  private isBlind = false
  private subject = ''
  /** What was read last, to leave people's fields alone when nothing changed. */
  private seen = ''
  private sending: Sending | undefined
  /** Of what was sent from here. */
  private transferId: string | undefined
  private isBusy = false
  private isLooking = false
  private timer: ReturnType<typeof setTimeout> | undefined
  private watch: ReturnType<typeof setInterval> | undefined

  private readonly words: Words
  private readonly recipients: RecipientList
  private readonly choices: Choices
  private readonly form = element('div')
  private readonly documents = element('div', { class: 'zp-list' })
  private readonly subjectLine = element('p', { class: 'zp-quiet' })
  private readonly status = element('p', { class: 'zp-status', role: 'status' })
  private readonly problem = element('p', { class: 'zp-problem', role: 'alert', hidden: true })
  private readonly help = element('p', { class: 'zp-quiet', hidden: true })
  private readonly uploads: UploadList
  private readonly submit: HTMLButtonElement

  constructor(private readonly desk: Desk) {
    const { words, draft, outlook } = desk
    this.words = words
    this.submit = button(words.send, () => void this.send(), { class: 'zp-primary', id: 'send' })
    this.uploads = new UploadList(desk.language, words, {
      pause: () => this.sending?.pause(),
      resume: () => this.sending?.resume(),
      stop: () => this.sending?.stop(),
    })
    this.recipients = new RecipientList(
      desk.client,
      desk.policy,
      words,
      (moment) => this.day(moment),
      () => this.say(''),
    )
    this.choices = new Choices(desk.me, desk.policy, desk.templates, words, desk.facts, outlook)
    this.choices.more.addEventListener('toggle', () => void this.showText())
    this.build()
    draft.onChange(() => this.readSoon())
    outlook.onDrop((files) => this.add(files))
  }

  async start(): Promise<void> {
    const { root, draft } = this.desk
    if (await draft.marked()) {
      root.replaceChildren(...alreadyPage(this.words))
      return
    }
    await this.read()
    this.watch = setInterval(() => void this.lookAgain(), LOOK_AGAIN_MS)
  }

  private build(): void {
    const { words, choices } = this
    this.form.append(
      this.subjectLine,
      ...(choices.sender ? [choices.sender] : []),
      element('h2', {}, words.recipients),
      this.recipients.part,
      element('h2', {}, words.documents),
      this.documents,
      dropZone(words, (files) => this.add(files)),
      choices.more,
    )
    this.desk.root.replaceChildren(
      element('h1', {}, words.title),
      this.problem,
      this.help,
      this.form,
      this.uploads.part,
      this.status,
      this.submit,
    )
  }

  private readSoon(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.read().catch((error: unknown) => this.explain(error)), READ_AGAIN_MS)
  }

  /** Quietly: what goes wrong here goes wrong again, and is told, when people send. */
  private async lookAgain(): Promise<void> {
    if (this.isLooking || document.visibilityState === 'hidden') return
    this.isLooking = true
    await this.read().catch(() => undefined)
    await this.showText()
    this.isLooking = false
  }

  /** What is in the draft now, and who of it we know. */
  private async read(): Promise<void> {
    if (this.isBusy) return
    const { draft, me } = this.desk
    const addressed = await draft.recipients()
    const subject = (await draft.subject()).trim()
    const attachments = await draft.attachments()
    if (me.departments.length > 0) this.choices.follow(await draft.from())
    const seen = JSON.stringify([addressed, subject, attachments])
    if (seen === this.seen || this.isBusy) return
    await this.recipients.take(addressed)
    // What was wrong may have been mended in the draft; sending looks anew.
    if (this.seen !== '') this.say('')
    this.seen = seen
    this.subject = subject
    this.isBlind = attachments === undefined
    this.attachments = (attachments ?? []).filter((each) => each.kind !== 'picture')
    this.hasPictures = this.attachments.length < (attachments?.length ?? 0)
    this.show()
  }

  private async showText(): Promise<void> {
    if (this.choices.more.open) this.choices.showText(await this.desk.draft.text().catch(() => ''))
  }

  private show(): void {
    const { words } = this
    const count = this.attachments.length + this.files.length
    this.subjectLine.textContent = `${words.subject}: ${this.subject || '–'}`
    this.documents.replaceChildren(
      ...this.attachments.map((each) => documentRow(each.name, this.fate(each), words)),
      ...this.files.map((each) => documentRow(each.name, fateOfFile(each, this.desk.policy), words, () => this.remove(each))),
      ...(this.isBlind ? [element('p', { class: 'zp-warning' }, words.blind)] : []),
      ...(count > 0 || this.isBlind ? [] : [words.noDocuments]),
      ...(this.hasPictures ? [element('p', { class: 'zp-quiet' }, words.pictures)] : []),
    )
  }

  private fate(attachment: Attachment): Fate {
    return fateOf(attachment, this.desk.policy, this.files, this.unreadable)
  }

  private add(files: readonly File[]): void {
    if (this.isBusy) return
    const isSame = (one: File, other: File): boolean =>
      one.name === other.name && one.size === other.size && one.lastModified === other.lastModified
    for (const file of files) {
      if (!this.files.some((each) => isSame(each, file))) this.files.push(file)
    }
    // What was wrong may have been mended by this; sending looks anew.
    this.say('')
    this.show()
  }

  private remove(file: File): void {
    this.files.splice(this.files.indexOf(file), 1)
    this.show()
    document.getElementById('files')?.focus()
  }

  /** Check what can be checked here, then send; whatever happens, people read what it means for their draft. */
  private async send(): Promise<void> {
    if (this.isBusy) return
    const { draft } = this.desk
    this.say('')
    try {
      await this.read()
      if (!this.isComplete()) return
      this.busy(true)
      await draft.notify(this.words.notice).catch(() => undefined)
      const transfer = await this.sendNow()
      await this.recipients.keep()
      this.finish(transfer)
    } catch (error) {
      // First: nothing in a form at rest can be pointed to.
      this.busy(false)
      this.explain(error)
    } finally {
      this.busy(false)
      await draft.clearNotice().catch(() => undefined)
    }
  }

  private isComplete(): boolean {
    const { words } = this
    const refused = [
      ...this.attachments.map((each) => [each.name, this.fate(each)] as const),
      ...this.files.map((each) => [each.name, fateOfFile(each, this.desk.policy)] as const),
    ].find(([, fate]) => isStopping(fate))
    const hasNumbers = this.recipients.complete()
    const problem =
      (this.recipients.isEmpty && words.noRecipients) ||
      (this.subject === '' && words.subjectMissing) ||
      (this.recipients.hasList && words.list) ||
      (!hasNumbers && words.mobileMissing) ||
      (refused && `${refused[0]}: ${said(refused[1], refused[0], words)}`) ||
      ''
    this.say(problem)
    return problem === '' && this.choices.days() !== undefined
  }

  private async sendNow(): Promise<Transfer> {
    const { client, draft, policy } = this.desk
    this.sending ??= new Sending(
      client,
      draft,
      { maxBytes: policy.limits.document_bytes, extensions: policy.extensions },
      browserSurroundings(),
      { step: (step) => this.showStep(step), uploads: (uploads) => this.uploads.show(uploads) },
    )
    return this.sending.run(await this.order())
  }

  private async order(): Promise<Order> {
    const { choices, desk } = this
    const isCopy = this.makesCopy
    return {
      transfer: {
        subject: this.subject,
        reference: choices.referenceTyped,
        note: await this.noteOf(),
        recipients: this.recipients.recipients,
        expires_in_days: choices.days() ?? desk.policy.default_expiry_days,
        language: desk.language,
        ...(choices.departmentId && { department_id: choices.departmentId }),
      },
      attachments: this.attachments.filter((each) => this.fate(each) !== 'replaced'),
      files: [...this.files],
      copyTo: isCopy ? await this.ownAddress() : undefined,
      statement: (transfer) =>
        statementOf(transfer, { day: this.day(new Date().toISOString()), isCopy, portalUrl: desk.facts.portal_url }, this.words),
    }
  }

  /** Where the server makes one, people need not. */
  private get makesCopy(): boolean {
    return this.choices.wantsCopy && !this.desk.facts.keeps_sent_copy
  }

  private get rest(): Rest {
    return { isCopy: this.makesCopy, isBlind: this.isBlind }
  }

  /** Of the mailbox that the draft is in, when that is one of the organisation's; the guard lets no copy go outside. */
  private async ownAddress(): Promise<string> {
    const { draft, policy, me } = this.desk
    const from = await draft.from()
    return policy.staff_domains.includes(from.slice(from.lastIndexOf('@') + 1).toLowerCase()) ? from : me.email
  }

  /** The draft's own text, unless that is left out, and after it the standard text that was chosen. */
  private async noteOf(): Promise<string> {
    const own = this.choices.takesText ? (await this.desk.draft.text()).trim() : ''
    return [own, this.choices.templateText()].filter((text) => text !== '').join('\n\n')
  }

  private showStep(step: Step): void {
    this.status.textContent = step === 'uploading' ? '' : this.words[step]
    if (step !== 'uploading') this.uploads.show([])
  }

  /** Who waited for a number when it was sent may have got it since. */
  follow(transfers: readonly Transfer[]): void {
    const latest = transfers.find((each) => each.id === this.transferId)
    if (latest) this.desk.root.replaceChildren(...sentPage(latest, this.rest, this.words))
  }

  private finish(transfer: Transfer): void {
    clearInterval(this.watch)
    this.transferId = transfer.id
    this.desk.root.replaceChildren(...sentPage(transfer, this.rest, this.words))
    document.getElementById('done')?.focus()
    this.desk.sent(transfer)
  }

  private explain(error: unknown): void {
    const { words } = this
    this.status.textContent = ''
    if (error instanceof NotEmptied) {
      clearInterval(this.watch)
      this.desk.root.replaceChildren(...notEmptiedPage(error.transfer, words))
      this.desk.sent(error.transfer)
      return
    }
    if (error instanceof NotHandedOver) {
      for (const each of error.attachments) this.unreadable.add(each.id)
      this.show()
    }
    if (isSignedOut(error)) this.desk.client.forget()
    this.say(sentenceOf(error, words))
    if (error instanceof Refused) this.recipients.refuse(error.problem.fields ?? {})
    this.help.hidden = !isOutlooks(error)
    if (isOutlooks(error)) this.help.textContent = this.helpWith(`${this.desk.outlook.diagnosis}, ${error.message}`)
  }

  private helpWith(what: string): string {
    const phone = this.desk.facts.help_phone
    return phone ? filled(this.words.helpCall, { phone, what }) : filled(this.words.help, { what })
  }

  private say(problem: string): void {
    this.problem.textContent = problem
    this.problem.hidden = problem === ''
    if (problem === '') this.help.hidden = true
    else this.problem.scrollIntoView({ block: 'nearest' })
  }

  private busy(isBusy: boolean): void {
    this.isBusy = isBusy
    this.submit.disabled = isBusy
    this.form.inert = isBusy
    if (!isBusy) this.uploads.show([])
  }

  private day(moment: string): string {
    return timesIn(this.desk.language).days.format(new Date(moment))
  }
}
