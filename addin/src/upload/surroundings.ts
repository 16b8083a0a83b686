/** What uploading needs to know of the device. Everything else in this folder works without a browser. */
import type { KeyValueStore } from './memory'

export interface Surroundings {
  /** The clock, in milliseconds. */
  now(): number
  isOnline(): boolean
  /** Calls `listener` whenever the connection or the page may have come back; returns how to stop that. */
  onReturn(listener: () => void): () => void
  /** Asks the device not to fall asleep; returns how to take that back. May be asked for several times at once. */
  keepAwake(): () => void
  readonly store: KeyValueStore | undefined
}

export function browserSurroundings(): Surroundings {
  const lock = new ScreenLock()
  return {
    now: () => performance.now(),
    isOnline: () => navigator.onLine,
    onReturn(listener) {
      const onVisible = (): void => {
        if (document.visibilityState === 'visible') listener()
      }
      window.addEventListener('online', listener)
      document.addEventListener('visibilitychange', onVisible)
      return () => {
        window.removeEventListener('online', listener)
        document.removeEventListener('visibilitychange', onVisible)
      }
    },
    keepAwake: () => lock.hold(),
    store: availableStorage(),
  }
}

function availableStorage(): KeyValueStore | undefined {
  try {
    return window.localStorage
  } catch {
    return undefined
  }
}

/** Phones suspend uploads when the screen locks. The lock is shared by all uploads, and lost when the page is hidden. */
class ScreenLock {
  private holders = 0
  private sentinel: WakeLockSentinel | undefined

  constructor() {
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void this.request()
    })
  }

  hold(): () => void {
    this.holders += 1
    void this.request()
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.holders -= 1
      if (this.holders === 0) void this.sentinel?.release()
    }
  }

  private async request(): Promise<void> {
    const wakeLock = (navigator as Partial<Pick<Navigator, 'wakeLock'>>).wakeLock
    if (this.holders === 0 || wakeLock === undefined || (this.sentinel && !this.sentinel.released)) return
    try {
      const sentinel = await wakeLock.request('screen')
      // Two requests can cross, and the last upload may have ended meanwhile.
      if (this.holders === 0 || (this.sentinel && !this.sentinel.released)) await sentinel.release()
      else this.sentinel = sentinel
    } catch {
      // Refused on low battery or by policy: uploading goes on, only the screen may lock.
    }
  }
}
