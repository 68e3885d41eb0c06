/** Longest frame in either direction, without its length (docs/wire-protocol.md). */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;

const LENGTH_BYTES = 4;

/** The bytes of one frame, or how long its payload would have been when that is more than {@link MAX_FRAME_BYTES}. */
export type EncodedFrame =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly payloadBytes: number };

/** One frame: a 4-byte big-endian length, then the value as UTF-8 JSON. */
export function encodeFrame(value: object): EncodedFrame {
  const payload = Buffer.from(JSON.stringify(value), 'utf8');
  if (payload.length > MAX_FRAME_BYTES) return { ok: false, payloadBytes: payload.length };
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + payload.length);
  bytes.writeUInt32BE(payload.length, 0);
  payload.copy(bytes, LENGTH_BYTES);
  return { ok: true, bytes };
}

/** A whole frame's payload; or the length that a frame claimed and that is over the limit, after which nothing can be read. */
export type DecodedFrame =
  | { readonly kind: 'frame'; readonly payload: Buffer }
  | { readonly kind: 'tooLong'; readonly payloadBytes: number };

/**
 * Cuts a byte stream into frames, wherever its chunks begin and end. Holds at most one incomplete frame. After a frame that is
 * too long it ignores everything: the stream has no boundary any more.
 */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #broken = false;

  /** Bytes of a frame that has begun and is not complete. */
  get incompleteBytes(): number {
    return this.#bytes;
  }

  /** Takes the next chunk and returns the frames that it completes, in order. */
  push(chunk: Buffer): DecodedFrame[] {
    const frames: DecodedFrame[] = [];
    if (this.#broken || chunk.length === 0) return frames;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    for (;;) {
      if (this.#bytes < LENGTH_BYTES) return frames;
      const payloadBytes = this.#join(LENGTH_BYTES).readUInt32BE(0);
      if (payloadBytes > MAX_FRAME_BYTES) {
        this.#broken = true;
        this.#chunks = [];
        this.#bytes = 0;
        frames.push({ kind: 'tooLong', payloadBytes });
        return frames;
      }
      const end = LENGTH_BYTES + payloadBytes;
      if (this.#bytes < end) return frames;
      const joined = this.#join(end);
      frames.push({ kind: 'frame', payload: joined.subarray(LENGTH_BYTES, end) });
      this.#chunks = joined.length > end ? [joined.subarray(end)] : [];
      this.#bytes -= end;
    }
  }

  /** The first chunk, made long enough. Joins only when a frame's length or the frame itself is complete: linear work. */
  #join(bytes: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= bytes) return first;
    const joined = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [joined];
    return joined;
  }
}
