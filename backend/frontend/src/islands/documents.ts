/** Uploading the documents of a draft: choosing, dropping, following, pausing, removing. */
import { UploadQueue } from '@zegelpost/upload/queue'
import { browserSurroundings } from '@zegelpost/upload/surroundings'
import type { DocumentUpload } from '@zegelpost/upload/upload'
import { part } from './element'
import { readLabels, Wording } from './document-wording'
import { DocumentRow } from './document-row'
import { Onward, type Standing } from './onward'
import { contacted } from '../staying'

export function documents(root: HTMLElement): void {
  const list = part(root, '[data-list]', HTMLElement)
  const template = part(root, 'template[data-row]', HTMLTemplateElement)
  const input = part(root, '[data-script] input[type="file"]', HTMLInputElement)
  const live = part(root, '[data-live]', HTMLElement)
  const labels = readLabels(root.dataset.labels ?? '{}')
  const wording = new Wording(labels, document.documentElement.lang)
  const rows = new Map<DocumentUpload, DocumentRow>()
  const announced = new Map<DocumentUpload, string>()

  const queue = new UploadQueue(
    {
      endpoint: new URL(root.dataset.uploadUrl ?? '/uploads', location.href).href,
      transferId: root.dataset.transferId ?? '',
      headers: () => ({ 'X-CSRF-Token': root.dataset.csrf ?? '' }),
    },
    {
      maxBytes: Number(root.dataset.maxBytes),
      extensions: (root.dataset.extensions ?? '').split(',').filter(Boolean),
    },
    browserSurroundings(),
    follow,
  )

  function follow(upload: DocumentUpload): void {
    const row = rows.get(upload) ?? newRow(upload)
    adopt(upload, row)
    row.show(upload.state)
    if (upload.state.kind === 'uploading') contacted()
    announce(upload)
    onward?.look()
  }

  function newRow(upload: DocumentUpload): DocumentRow {
    const row = new DocumentRow(template, upload.file, wording, {
      pause: () => upload.pause(),
      resume: () => queue.resume(upload),
      remove: () => void takeBack(row.element, () => queue.remove(upload), upload.file.name),
    })
    rows.set(upload, row)
    list.append(row.element)
    list.hidden = false
    return row
  }

  /** An upload that an earlier page left unfinished already has a row from the server: it takes that one's place. */
  function adopt(upload: DocumentUpload, row: DocumentRow): void {
    const { id } = upload
    if (id === undefined || row.element.dataset.uploadId === id) return
    row.element.dataset.uploadId = id
    for (const other of list.querySelectorAll<HTMLElement>('[data-upload-id]')) {
      if (other !== row.element && other.dataset.uploadId === id) other.replaceWith(row.element)
    }
  }

  /** Only endings are read out: a percentage every second would drown everything else. */
  function announce(upload: DocumentUpload): void {
    const sentence = wording.announcement(upload.file.name, upload.state)
    if (sentence !== announced.get(upload) && sentence !== '') say(sentence)
    announced.set(upload, sentence)
  }

  function say(sentence: string): void {
    live.textContent = sentence
  }

  async function takeBack(row: HTMLElement, remove: () => Promise<void>, name: string): Promise<void> {
    try {
      await remove()
    } catch {
      say(wording.removeFailed(name))
      row.querySelector('.zp-document__status [data-status]')?.replaceChildren(wording.removeFailed(name))
      return
    }
    const next = (row.nextElementSibling ?? row.previousElementSibling)?.querySelector('button:not([hidden])')
    row.remove()
    // An empty list is a list without items to screen readers.
    list.hidden = list.childElementCount === 0
    onward?.look()
    if (next instanceof HTMLElement) next.focus()
    else input.focus()
  }

  function take(files: Iterable<File>): void {
    for (const file of files) queue.add(file)
  }

  const address = CSS.escape(root.dataset.onward ?? '')
  const way = document.querySelector(`a[href="${address}"], form[action="${address}"]`)
  const onward =
    way instanceof HTMLAnchorElement || way instanceof HTMLFormElement
      ? new Onward(way, standing, (why) => tellWhy(part(root, '[data-why]', HTMLElement), why))
      : undefined

  function standing(): Standing {
    if (queue.isBusy) return 'onItsWay'
    return queue.isLeftOver || list.querySelector('[data-unfinished]') ? 'leftOver' : 'whole'
  }

  function tellWhy(alert: HTMLElement, why: Exclude<Standing, 'whole'> | undefined): void {
    const sentence = why === undefined ? '' : labels[why]
    alert.hidden = sentence === ''
    part(alert, 'p', HTMLElement).textContent = sentence
    if (sentence !== '') say(sentence)
  }

  part(root, '[data-script]', HTMLElement).hidden = false
  part(root, '[data-plain]', HTMLElement).remove()

  input.addEventListener('change', () => {
    take(input.files ?? [])
    // Otherwise choosing the same file again, to go on, would not count as a change.
    input.value = ''
  })

  for (const form of list.querySelectorAll('form')) {
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      const row = form.closest<HTMLElement>('[data-upload-id]')
      const id = row?.dataset.uploadId
      if (row && id) void takeBack(row, () => queue.removeRemote(id), row.dataset.name ?? '')
    })
  }

  acceptDrops(part(root, '[data-drop]', HTMLElement), take, (folder) => queue.refuse(new File([], folder), { kind: 'folder' }))

  window.addEventListener('beforeunload', (event) => {
    if (queue.isBusy) event.preventDefault()
  })
}

function acceptDrops(zone: HTMLElement, take: (files: Iterable<File>) => void, refuse: (folder: string) => void): void {
  const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false
  // A file dropped beside the zone would open in place of the page.
  for (const name of ['dragover', 'drop'] as const) {
    window.addEventListener(name, (event) => {
      if (hasFiles(event)) event.preventDefault()
    })
  }
  zone.addEventListener('dragover', (event) => zone.classList.toggle('zp-drop--over', hasFiles(event)))
  zone.addEventListener('dragleave', (event) => {
    if (!(event.relatedTarget instanceof Node && zone.contains(event.relatedTarget))) zone.classList.remove('zp-drop--over')
  })
  zone.addEventListener('drop', (event) => {
    zone.classList.remove('zp-drop--over')
    const items = Array.from(event.dataTransfer?.items ?? [])
    // A folder looks like a file that can't be read. What is asked later than in this event gets no answer.
    const found = items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }))
    take(found.flatMap(({ entry, file }) => (file === null || entry?.isDirectory ? [] : [file])))
    for (const { entry } of found) if (entry?.isDirectory) refuse(entry.name)
  })
}
