/** What people may choose besides: as whom, how long, with which texts, and whether they keep a copy. */
import type { Me, Policy, Template } from '../api/client'
import { element } from '../element'
import type { Facts } from '../facts'
import { filled, type Words } from '../i18n/words'
import type { Outlook } from '../office/outlook'

const LONGEST_EXCERPT = 80
const KEPT_CHOICE = 'keepsCopy'

export class Choices {
  /** Nothing for whoever works for no department. */
  readonly sender: HTMLElement | undefined
  readonly more: HTMLDetailsElement
  private readonly department: HTMLSelectElement
  private readonly reference = element('input', { id: 'reference', maxlength: '100', autocomplete: 'off' })
  private readonly expiry: HTMLInputElement
  private readonly expiryError = element('p', { class: 'zp-problem', id: 'expiry-error', hidden: true })
  private readonly template: HTMLSelectElement
  private readonly note = element('input', { id: 'note', type: 'checkbox', checked: true, 'aria-describedby': 'note-hint' })
  private readonly excerpt = element('p', { class: 'zp-quiet', id: 'note-hint' })
  private readonly copy = element('input', { id: 'copy', type: 'checkbox', 'aria-describedby': 'copy-hint' })
  private hasChosenSender = false

  constructor(
    private readonly me: Me,
    private readonly policy: Policy,
    private readonly templates: readonly Template[],
    private readonly words: Words,
    facts: Facts,
    { choices }: Pick<Outlook, 'choices'>,
  ) {
    this.department = element('select', { id: 'department' }, option('', words.myself))
    for (const each of me.departments) this.department.append(option(each.id, each.name))
    this.department.addEventListener('change', () => (this.hasChosenSender = true))
    this.sender = me.departments.length > 0 ? field(words.from, this.department) : undefined
    this.expiry = element('input', {
      id: 'expiry',
      inputmode: 'numeric',
      value: String(policy.default_expiry_days),
      'aria-describedby': 'expiry-error',
    })
    this.template = element('select', { id: 'template' }, option('', words.noTemplate))
    templates.forEach((each, number) => this.template.append(option(String(number), each.name, each.is_default)))
    this.copy.checked = choices.get(KEPT_CHOICE) === 'yes'
    // That it is not remembered is no reason to stop anybody.
    this.copy.addEventListener('change', () => void choices.keep(KEPT_CHOICE, this.copy.checked ? 'yes' : '').catch(() => undefined))
    this.more = element(
      'details',
      { id: 'more' },
      element('summary', {}, words.more),
      field(words.reference, this.reference),
      element('div', { class: 'zp-field' }, element('label', { for: 'expiry' }, words.expiry), this.expiry, this.expiryError),
      templates.length > 0 && field(words.template, this.template),
      element('div', { class: 'zp-check' }, this.note, element('label', { for: 'note' }, words.note)),
      this.excerpt,
      ...(facts.keeps_sent_copy
        ? [element('p', { class: 'zp-quiet zp-field' }, words.copyByItself)]
        : [
            element('div', { class: 'zp-check' }, this.copy, element('label', { for: 'copy' }, words.copy)),
            element('p', { class: 'zp-quiet', id: 'copy-hint' }, words.copyWhy),
          ]),
    )
  }

  get departmentId(): string {
    return this.department.value
  }

  get takesText(): boolean {
    return this.note.checked
  }

  get wantsCopy(): boolean {
    return this.copy.checked
  }

  get referenceTyped(): string {
    return this.reference.value.trim()
  }

  /** Nothing when what was typed is no number of days that is allowed; people then see that beside it. */
  days(): number | undefined {
    const typed = this.expiry.value.trim()
    const days = /^\d{1,4}$/.test(typed) ? Number(typed) : 0
    const isRight = days >= 1 && days <= this.policy.longest_expiry_days
    this.expiryError.textContent = filled(this.words.expiryWrong, { longest: this.policy.longest_expiry_days })
    this.expiryError.hidden = isRight
    if (isRight) return days
    this.more.open = true
    this.expiry.focus()
    return undefined
  }

  /** The standard text that was chosen. */
  templateText(): string {
    return this.template.value === '' ? '' : (this.templates[Number(this.template.value)]?.text ?? '').trim()
  }

  /** The first words of the mail, so that people see what goes along. */
  showText(text: string): void {
    const line = text.trim().replace(/\s+/g, ' ')
    this.excerpt.textContent = line.length > LONGEST_EXCERPT ? `${line.slice(0, LONGEST_EXCERPT)}…` : line || this.words.noText
  }

  /** A draft in a shared mailbox goes out for its department, unless people chose otherwise. */
  follow(from: string): void {
    if (this.hasChosenSender) return
    this.department.value = this.me.departments.find((each) => each.email.toLowerCase() === from.toLowerCase())?.id ?? ''
  }
}

function option(value: string, label: string, isSelected = false): HTMLOptionElement {
  return element('option', { value, selected: isSelected }, label)
}

function field(label: string, control: HTMLElement): HTMLElement {
  return element('div', { class: 'zp-field' }, element('label', { for: control.id }, label), control)
}
