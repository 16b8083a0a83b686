/** One choice is enough: choosing a standard text inserts it. */
import { part } from './element'

export function template(root: HTMLElement): void {
  const select = part(root, 'select', HTMLSelectElement)
  const button = part(root, 'button', HTMLButtonElement)
  // By keyboard every step through the list is a change: there the button remains.
  let isPointer = false
  select.addEventListener('pointerdown', () => {
    isPointer = true
  })
  select.addEventListener('keydown', () => {
    isPointer = false
  })
  select.addEventListener('change', () => {
    if (isPointer && select.value !== '') select.form?.requestSubmit(button)
  })
}
