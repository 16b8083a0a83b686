/** Where people add files themselves: by a button, or by letting them fall. */
import { element } from '../element'
import type { Words } from '../i18n/words'

export function dropZone(words: Words, add: (files: readonly File[]) => void): HTMLElement {
  const picker = element('input', { type: 'file', multiple: true, id: 'files', class: 'zp-file' })
  picker.addEventListener('change', () => {
    add([...(picker.files ?? [])])
    picker.value = ''
  })
  const zone = element(
    'div',
    { class: 'zp-drop' },
    picker,
    element('label', { for: 'files', class: 'zp-secondary' }, words.addFiles),
    element('p', { class: 'zp-quiet' }, words.dropHere),
  )
  zone.addEventListener('dragover', (event) => event.preventDefault())
  zone.addEventListener('drop', (event) => {
    event.preventDefault()
    add([...(event.dataTransfer?.files ?? [])])
  })
  return zone
}
