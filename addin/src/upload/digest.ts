/** The SHA-256 of a file, read beside the upload, to compare with what the server computed over what it stored. */
import { sha256 as hashing } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'

/** Web Crypto only takes a whole file, so larger ones are read in pieces by a library; small enough not to hold up the page. */
const PIECE_BYTES = 512 * 1024

/**
 * In lower-case hexadecimal. Nothing when reading failed or `isOver` said that nobody needs it any more: the upload itself tells of
 * a file that can't be read.
 */
export async function digestOf(file: Blob, isOver: () => boolean): Promise<string | undefined> {
  const hash = hashing.create()
  try {
    for (let at = 0; at < file.size; at += PIECE_BYTES) {
      if (isOver()) return undefined
      hash.update(new Uint8Array(await file.slice(at, at + PIECE_BYTES).arrayBuffer()))
    }
  } catch {
    return undefined
  }
  return bytesToHex(hash.digest())
}
