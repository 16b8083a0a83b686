/** The pane beside a draft: shows what will happen to whom and what, and sends. */
import {
  type Client,
  type Contact,
  type Me,
  type Policy,
  Refused,
  type Template,
  type Transfer,
  Unreachable,
} from '../api/client'
import { button, element } from '../element'
import { filled, type Words } from '../i18n/words'
import { OfficeProblem } from '../office/calls'
import type { Attachment, Draft } from '../office/outlook'
import { browserSurroundings } from '../upload/surroundings'
import type { DocumentUpload } from '../upload/upload'
import { type Fate, fateOf, fateOfFile, isStopping } from './fates'
import { missingNumbers, peopleOf, type Person, recipientsOf } from './people'
import { documentRow, personRow, said, uploadRow } from './rows'
import { NotEmptied, NotHandedOver, Sending, type Step, UploadFailed } from './sending'

const READ_AGAIN_MS = 400

export class ComposePane {
  private readonly typed = new Map<string, string>()
  private readonly kept = new Set<string>()
  private readonly files: File[] = []
  /** Attachments that Outlook did not hand over, by identifier. */
  private readonly unreadable = new Set<string>()
  private people: readonly Person[] = []
  private attachments: readonly Attachment[] = []
  /** Whether this Outlook tells of attachments at all. */
  private isBlind = false
  private contacts: readonly Contact[] = []
  private subject = ''
  private sending: Sending | undefined
  private isBusy = false
  private hasChosenDepartment = false
  private timer: ReturnType<typeof setTimeout> | undefined

  private readonly list = element('div', { class: 'zp-list' })
  private readonly documents = element('div', { class: 'zp-list' })
  private readonly subjectLine = element('p', { class: 'zp-quiet' })
  private readonly status = element('p', { class: 'zp-status', role: 'status' })
  private readonly problem = element('p', { class: 'zp-problem', role: 'alert', hidden: true })
  private readonly progress = element('div', { class: 'zp-list' })
  private readonly submit: HTMLButtonElement
  private readonly reference: HTMLInputElement
  private readonly expiry: HTMLInputElement
  private readonly note: HTMLInputElement
  private readonly department: HTMLSelectElement
  private readonly template: HTMLSelectElement

  constructor(
    private readonly root: HTMLElement,
    private readonly draft: Draft,
    private readonly client: Client,
    private readonly words: Words,
    private readonly language: 'nl' | 'en',
    private readonly policy: Policy,
    private readonly me: Me,
    private readonly templates: readonly Template[],
  ) {
    this.submit = button(words.send, () => void this.send(), { class: 'zp-primary', id: 'send' })
    this.reference = element('input', { id: 'reference', maxlength: '100', autocomplete: 'off' })
    this.expiry = element('input', { id: 'expiry', inputmode: 'numeric', value: String(policy.default_expiry_days) })
    this.note = element('input', { id: 'note', type: 'checkbox', checked: true })
    this.department = element('select', { id: 'department' }, element('option', { value: '' }, words.myself))
    this.department.addEventListener('change', () => (this.hasChosenDepartment = true))
    for (const each of me.departments) this.department.append(element('option', { value: each.id }, each.name))
    this.template = element('select', { id: 'template' }, element('option', { value: '' }, words.noTemplate))
    templates.forEach((each, number) => {
      const option = element('option', { value: String(number) }, each.name)
      option.selected = each.is_default
      this.template.append(option)
    })
    this.build(me.departments.length > 0)
    draft.onChange(() => this.readSoon())
  }

  async start(): Promise<void> {
    if (await this.draft.marked()) {
      this.root.replaceChildren(element('h1', {}, this.words.title), element('p', {}, this.words.already))
      return
    }
    await this.read()
  }

  private build(hasDepartments: boolean): void {
    const { words } = this
    const picker = element('input', { type: 'file', multiple: true, id: 'files', class: 'zp-file' })
    picker.addEventListener('change', () => {
      this.add([...(picker.files ?? [])])
      picker.value = ''
    })
    const drop = element(
      'div',
      { class: 'zp-drop' },
      element('label', { for: 'files', class: 'zp-secondary' }, words.addFiles),
      picker,
      element('p', { class: 'zp-quiet' }, words.dropHere),
    )
    drop.addEventListener('dragover', (event) => event.preventDefault())
    drop.addEventListener('drop', (event) => {
      event.preventDefault()
      this.add([...(event.dataTransfer?.files ?? [])])
    })
    const field = (label: string, control: HTMLElement): HTMLElement =>
      element('div', { class: 'zp-field' }, element('label', { for: control.id }, label), control)
    this.root.replaceChildren(
      element('h1', {}, words.title),
      this.problem,
      this.subjectLine,
      ...(hasDepartments ? [field(words.from, this.department)] : []),
      element('h2', {}, words.recipients),
      this.list,
      element('h2', {}, words.documents),
      this.documents,
      drop,
      element(
        'details',
        {},
        element('summary', {}, words.more),
        field(words.reference, this.reference),
        field(words.expiry, this.expiry),
        this.templates.length > 0 && field(words.template, this.template),
        element('div', { class: 'zp-check' }, this.note, element('label', { for: 'note' }, words.note)),
      ),
      this.progress,
      this.status,
      this.submit,
    )
  }

  private readSoon(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.read().catch((error: unknown) => this.explain(error)), READ_AGAIN_MS)
  }

  /** What is in the draft now, and who of it we know. */
  private async read(): Promise<void> {
    if (this.isBusy) return
    const addressed = await this.draft.recipients()
    this.subject = (await this.draft.subject()).trim()
    const attachments = await this.draft.attachments()
    await this.followMailbox()
    this.isBlind = attachments === undefined
    this.attachments = attachments ?? []
    const addresses = addressed.map((each) => each.email.toLowerCase())
    const unknown = addresses.filter((each) => !this.contacts.some((contact) => contact.email.toLowerCase() === each))
    if (unknown.length > 0) this.contacts = [...this.contacts, ...(await this.client.lookUp(unknown))]
    this.people = peopleOf(addressed, this.policy, this.contacts, this.typed)
    this.show()
  }

  /** A draft in a shared mailbox goes out for its department, unless people chose otherwise. */
  private async followMailbox(): Promise<void> {
    if (this.me.departments.length === 0 || this.hasChosenDepartment) return
    const from = (await this.draft.from()).toLowerCase()
    this.department.value = this.me.departments.find((each) => each.email.toLowerCase() === from)?.id ?? ''
  }

  private show(): void {
    const { words } = this
    this.subjectLine.textContent = `${words.subject}: ${this.subject || '–'}`
    const focused = document.activeElement?.id
    this.list.replaceChildren(
      ...(this.people.length ? this.people.map((each, number) => this.person(each, number)) : [words.noRecipients]),
    )
    this.documents.replaceChildren(
      ...this.attachments.map((each) => documentRow(each.name, this.fate(each), this.words)),
      ...this.files.map((each) => documentRow(each.name, fateOfFile(each, this.policy), this.words, () => this.remove(each))),
      ...(this.isBlind ? [element('p', { class: 'zp-warning' }, words.blind)] : []),
      ...(this.attachments.length + this.files.length || this.isBlind ? [] : [words.noDocuments]),
    )
    if (focused) document.getElementById(focused)?.focus()
  }

  private person(person: Person, position: number): HTMLElement {
    const address = person.email.toLowerCase()
    return personRow(person, position, this.kept.has(address), this.words, (moment) => this.day(moment), {
      typed: (mobile) => {
        this.typed.set(address, mobile)
        this.people = this.people.map((each) => (each.email === person.email ? { ...each, mobile, source: 'typed' } : each))
      },
      keep: (isKept) => (isKept ? this.kept.add(address) : this.kept.delete(address)),
    })
  }

  private fate(attachment: Attachment): Fate {
    return fateOf(attachment, this.policy, this.files, this.unreadable)
  }

  private add(files: readonly File[]): void {
    for (const file of files) {
      if (!this.files.some((each) => each.name === file.name && each.size === file.size)) this.files.push(file)
    }
    // What was wrong may have been mended by this; sending looks anew.
    this.say('')
    this.show()
  }

  private remove(file: File): void {
    this.files.splice(this.files.indexOf(file), 1)
    this.show()
  }

  /** Check what can be checked here, then send; whatever happens, people read what it means for their draft. */
  private async send(): Promise<void> {
    if (this.isBusy) return
    this.say('')
    try {
      await this.read()
      if (!this.isComplete()) return
      this.busy(true)
      await this.draft.notify(this.words.notice).catch(() => undefined)
      const transfer = await this.sendNow()
      await this.keepContacts()
      this.finish(transfer)
    } catch (error) {
      this.explain(error)
    } finally {
      this.busy(false)
      await this.draft.clearNotice().catch(() => undefined)
    }
  }

  private isComplete(): boolean {
    const { words } = this
    const refused = [
      ...this.attachments.map((each) => [each.name, this.fate(each)] as const),
      ...this.files.map((each) => [each.name, fateOfFile(each, this.policy)] as const),
    ].find(([, fate]) => isStopping(fate))
    const missing = missingNumbers(this.people)
    this.people.forEach((each, number) => {
      const error = document.getElementById(`mobile-${number}-error`)
      if (error) {
        error.hidden = !missing.includes(each.email)
        error.textContent = words.mobileMissing
      }
    })
    const problem =
      (this.people.length === 0 && words.noRecipients) ||
      (this.subject === '' && words.subjectMissing) ||
      (this.people.some((each) => each.isList) && words.list) ||
      (missing.length > 0 && words.mobileMissing) ||
      (refused && `${refused[0]}: ${said(refused[1], refused[0], words)}`) ||
      ''
    this.say(problem)
    if (missing.length > 0) {
      document.getElementById(`mobile-${this.people.findIndex((each) => each.email === missing[0])}`)?.focus()
    }
    return problem === ''
  }

  private async sendNow(): Promise<Transfer> {
    const { client, draft, policy } = this
    this.sending ??= new Sending(
      client,
      draft,
      { maxBytes: policy.limits.document_bytes, extensions: policy.extensions },
      browserSurroundings(),
      { step: (step) => this.showStep(step), uploads: (uploads) => this.showUploads(uploads) },
    )
    const days = Number(this.expiry.value)
    return this.sending.run(
      {
        transfer: {
          subject: this.subject,
          reference: this.reference.value.trim(),
          note: await this.noteOf(),
          recipients: recipientsOf(this.people),
          expires_in_days: Number.isInteger(days) ? days : policy.default_expiry_days,
          language: this.language,
          ...(this.department.value && { department_id: this.department.value }),
        },
        attachments: this.attachments.filter((each) => this.fate(each) !== 'replaced'),
        files: [...this.files],
      },
      (transfer) =>
        filled(this.words.statement, { day: this.day(new Date().toISOString()), number: numberOf(transfer) }),
    )
  }

  /** The draft's own text, unless that is left out, and after it the standard text that was chosen. */
  private async noteOf(): Promise<string> {
    const own = this.note.checked ? (await this.draft.text()).trim() : ''
    const chosen = this.template.value === '' ? '' : (this.templates[Number(this.template.value)]?.text ?? '').trim()
    return [own, chosen].filter((text) => text !== '').join('\n\n')
  }

  private async keepContacts(): Promise<void> {
    for (const person of this.people) {
      if (!this.kept.has(person.email.toLowerCase())) continue
      await this.client.keep({ name: person.name, email: person.email, mobile: person.mobile }).catch(() => undefined)
    }
  }

  private showStep(step: Step): void {
    this.status.textContent = step === 'uploading' ? '' : this.words[step]
  }

  private showUploads(uploads: readonly DocumentUpload[]): void {
    this.progress.replaceChildren(
      ...uploads.map((each) =>
        uploadRow(each, this.language, this.words, {
          pause: () => this.sending?.pause(),
          resume: () => this.sending?.resume(),
        }),
      ),
    )
  }

  private finish(transfer: Transfer): void {
    this.root.replaceChildren(
      element('h1', { tabindex: '-1', id: 'done' }, this.words.done),
      element('p', {}, this.words.doneWhy),
      element('p', {}, filled(this.words.doneNumber, { number: numberOf(transfer) })),
    )
    document.getElementById('done')?.focus()
  }

  private explain(error: unknown): void {
    const { words } = this
    this.status.textContent = ''
    if (error instanceof NotEmptied) {
      this.root.replaceChildren(element('h1', {}, words.done), element('p', { class: 'zp-problem', role: 'alert' }, words.notEmptied))
    } else if (error instanceof NotHandedOver) {
      for (const each of error.attachments) this.unreadable.add(each.id)
      this.show()
      this.say(error.attachments.map((each) => `${each.name}: ${words.unreadable}`).join(' '))
    } else if (error instanceof Refused) {
      const fields = Object.values(error.problem.fields ?? {}).map((field) => field.detail)
      this.say([error.problem.code === 'sign_in_required' ? words.signInAgain : (fields[0] ?? error.problem.detail) || words.failed].join(' '))
    } else if (error instanceof UploadFailed) {
      const { state, file } = error.upload
      const reason = state.kind === 'failed' ? state.reason : undefined
      if (reason?.kind === 'signedOut') this.client.forget()
      this.say(
        reason?.kind === 'problem'
          ? `${file.name}: ${reason.problem.detail}`
          : reason?.kind === 'damaged'
            ? filled(words.damaged, { name: file.name })
            : reason?.kind === 'signedOut'
              ? words.signInAgain
              : words.unreachable,
      )
    } else if (error instanceof Unreachable) {
      this.say(words.unreachable)
    } else {
      this.say(error instanceof OfficeProblem ? words.outlookFailed : words.failed)
    }
  }

  private say(problem: string): void {
    this.problem.textContent = problem
    this.problem.hidden = problem === ''
    if (problem !== '') this.problem.scrollIntoView({ block: 'nearest' })
  }

  private busy(isBusy: boolean): void {
    this.isBusy = isBusy
    this.submit.disabled = isBusy
  }

  private day(moment: string): string {
    return new Intl.DateTimeFormat(this.language === 'nl' ? 'nl-NL' : 'en-GB', { dateStyle: 'long' }).format(new Date(moment))
  }
}

/** What people call a transfer: the first eight characters of its identifier, as the portal shows it. */
export function numberOf(transfer: Pick<Transfer, 'id'>): string {
  return `${transfer.id.slice(0, 4)}-${transfer.id.slice(4, 8)}`.toUpperCase()
}
