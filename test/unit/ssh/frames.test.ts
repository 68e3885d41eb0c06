import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type DecodedFrame, encodeFrame, FrameDecoder, MAX_FRAME_BYTES } from '../../../operator/ssh/frames.ts';

function encoded(value: object): Buffer {
  const frame = encodeFrame(value);
  assert.ok(frame.ok);
  return frame.bytes;
}

function payloads(frames: readonly DecodedFrame[]): unknown[] {
  return frames.map((frame) => (frame.kind === 'frame' ? JSON.parse(frame.payload.toString('utf8')) : frame));
}

describe('encodeFrame', () => {
  it('puts the payload length in front, as 4 bytes big-endian', () => {
    assert.equal(encoded({ id: 1 }).toString('latin1'), '\0\0\0\u0008{"id":1}');
  });

  it('counts bytes, not characters', () => {
    assert.equal(encoded({ a: 'ü' }).readUInt32BE(0), Buffer.byteLength('{"a":"ü"}'));
  });

  it('makes a frame of exactly 16 MiB, and none of one byte more', () => {
    const longest = 'x'.repeat(MAX_FRAME_BYTES - '{"a":""}'.length);
    assert.equal(encoded({ a: longest }).length, MAX_FRAME_BYTES + 4);
    assert.deepEqual(encodeFrame({ a: `${longest}x` }), { ok: false, payloadBytes: MAX_FRAME_BYTES + 1 });
  });
});

describe('FrameDecoder', () => {
  it('finds the same frames wherever the stream is cut', () => {
    const values = fc.array(
      fc.record({ id: fc.nat(), text: fc.string({ unit: 'grapheme' }) }, { noNullPrototype: true }),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(values, fc.array(fc.nat({ max: 40 })), (messages, cuts) => {
        const stream = Buffer.concat(messages.map(encoded));
        const decoder = new FrameDecoder();
        const found: unknown[] = [];
        let at = 0;
        for (const length of cuts) {
          found.push(...payloads(decoder.push(stream.subarray(at, at + length))));
          at += length;
        }
        found.push(...payloads(decoder.push(stream.subarray(at))));
        assert.deepEqual(found, messages);
        assert.equal(decoder.incompleteBytes, 0);
      }),
    );
  });

  it('finds a frame that arrives byte by byte', () => {
    const decoder = new FrameDecoder();
    const found = [...encoded({ id: 7 })].flatMap((byte) => decoder.push(Buffer.of(byte)));
    assert.deepEqual(payloads(found), [{ id: 7 }]);
  });

  it('says how much of an incomplete frame has come', () => {
    const decoder = new FrameDecoder();
    decoder.push(encoded({ id: 7 }).subarray(0, 6));
    assert.equal(decoder.incompleteBytes, 6);
  });

  it('takes an empty frame for what it is', () => {
    assert.deepEqual(new FrameDecoder().push(Buffer.alloc(4)), [{ kind: 'frame', payload: Buffer.alloc(0) }]);
  });

  it('accepts 16 MiB', () => {
    const bytes = Buffer.alloc(4 + MAX_FRAME_BYTES, ' ');
    bytes.writeUInt32BE(MAX_FRAME_BYTES, 0);
    const decoder = new FrameDecoder();
    assert.deepEqual(decoder.push(bytes.subarray(0, 1 << 20)), []);
    const [frame] = decoder.push(bytes.subarray(1 << 20));
    assert.equal(frame?.kind === 'frame' && frame.payload.length, MAX_FRAME_BYTES);
  });

  it('reports a longer frame at its length, keeps nothing, and reads nothing after it', () => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(MAX_FRAME_BYTES + 1, 0);
    const decoder = new FrameDecoder();
    const found = decoder.push(Buffer.concat([encoded({ id: 1 }), bytes, encoded({ id: 2 })]));
    assert.deepEqual(found.at(-1), { kind: 'tooLong', payloadBytes: MAX_FRAME_BYTES + 1 });
    assert.equal(found.length, 2);
    assert.deepEqual(decoder.push(encoded({ id: 3 })), []);
    assert.equal(decoder.incompleteBytes, 0);
  });
});
