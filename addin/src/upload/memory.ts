/**
 * Remembers on this device which upload belongs to which file, so that it goes on after the page was reloaded.
 *
 * Only hashes are kept: on a shared computer the next person can't read file names from the browser's storage.
 */

/** The part of `localStorage` that is used. */
export interface KeyValueStore {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

interface FileFacts {
  readonly name: string
  readonly size: number
  readonly lastModified: number
}

/** SHA-256 in lower-case hexadecimal; nothing where the browser withholds Web Crypto (plain http). */
export async function sha256(content: BufferSource): Promise<string | undefined> {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle
  if (subtle === undefined) return undefined
  const digest = new Uint8Array(await subtle.digest('SHA-256', content))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export class UploadMemory {
  constructor(
    private readonly store: KeyValueStore | undefined,
    private readonly transferId: string,
  ) {}

  /** The address of the upload that was begun for this file, if it was. */
  async recall(file: FileFacts): Promise<string | undefined> {
    const key = await this.key(file)
    return (key && attempt(() => this.store?.getItem(key))) || undefined
  }

  async remember(file: FileFacts, address: string): Promise<void> {
    const key = await this.key(file)
    if (key) attempt(() => this.store?.setItem(key, address))
  }

  async forget(file: FileFacts): Promise<void> {
    const key = await this.key(file)
    if (key) attempt(() => this.store?.removeItem(key))
  }

  private async key(file: FileFacts): Promise<string | undefined> {
    const facts = JSON.stringify([this.transferId, file.name, file.size, file.lastModified])
    const hash = await sha256(new TextEncoder().encode(facts))
    return hash && `zegelpost.upload.${hash}`
  }
}

/** Storage may be full or forbidden (private windows, embedded pages): then nothing is remembered, and uploads still work. */
function attempt<T>(access: () => T): T | undefined {
  try {
    return access()
  } catch {
    return undefined
  }
}
