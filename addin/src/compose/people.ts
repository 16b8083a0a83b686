/** Who a draft goes to: colleagues, who sign in, and people outside, who need a number. Nothing of Outlook in here. */
import type { Contact, Policy, Recipient } from '../api/client'
import type { Addressed } from '../office/outlook'

export interface Person {
  readonly name: string
  readonly email: string
  readonly isColleague: boolean
  /** A list can hide anyone: it can't be sent to, and has to be taken apart first. */
  readonly isList: boolean
  readonly mobile: string
  /** Where the number comes from: typed here, or the address book, and since when a code reached it. */
  readonly source: 'typed' | 'book' | 'none'
  readonly workedAt: string | null
  /** Of a number that an address book of others proposes: how old it is. */
  readonly proposedAt: string | null
}

const LISTED = ['exchange', 'directory']

/** Everyone once, by address. What was typed in the pane stays; the address book fills in the rest. */
export function peopleOf(
  addressed: readonly Addressed[],
  policy: Pick<Policy, 'staff_domains'>,
  contacts: readonly Contact[],
  typed: ReadonlyMap<string, string>,
): readonly Person[] {
  const known = new Map(contacts.map((contact) => [contact.email.toLowerCase(), contact]))
  const people = new Map<string, Person>()
  for (const each of addressed) {
    const email = each.email.trim()
    const address = email.toLowerCase()
    if (people.has(address)) continue
    const contact = known.get(address)
    const own = typed.get(address)
    const mobile = own ?? contact?.mobile ?? ''
    people.set(address, {
      name: contact?.name || each.name || email,
      email,
      isColleague: !each.isList && policy.staff_domains.includes(address.slice(address.lastIndexOf('@') + 1)),
      isList: each.isList,
      mobile,
      source: own !== undefined ? 'typed' : mobile === '' ? 'none' : 'book',
      workedAt: own === undefined ? (contact?.number_worked_at ?? null) : null,
      proposedAt: own === undefined && contact && LISTED.includes(contact.source) ? contact.changed_at : null,
    })
  }
  return [...people.values()]
}

/** What has to be filled in before it can be sent, by address. */
export function missingNumbers(people: readonly Person[]): readonly string[] {
  return people.filter((each) => !each.isColleague && !each.isList && each.mobile.trim() === '').map((each) => each.email)
}

export function recipientsOf(people: readonly Person[]): readonly Recipient[] {
  return people.map((each) => ({
    name: each.name,
    email: each.email,
    ...(!each.isColleague && { mobile: each.mobile }),
  }))
}
