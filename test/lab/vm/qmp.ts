import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const LIMIT_MS = 30_000;

/**
 * Has qemu carry out one command of its machine protocol (QEMU QMP Reference Manual), over its socket. A connection of its own each
 * time: qemu serves one client after the other, so callers in several processes wait for each other instead of disturbing.
 */
export async function qmp(socketPath: string, command: string): Promise<void> {
  const socket = connect(socketPath);
  const limit = setTimeout(() => {
    socket.destroy(new Error(`no answer within ${LIMIT_MS / 1000} s`));
  }, LIMIT_MS);
  try {
    const failed = new Promise<never>((_, reject) => socket.once('error', reject));
    await Promise.race([failed, converse(createInterface({ input: socket }), (text) => socket.write(text), command)]);
  } catch (error) {
    throw new Error(`qemu ${command} through ${socketPath}: ${(error as Error).message}`, { cause: error });
  } finally {
    clearTimeout(limit);
    socket.destroy();
  }
}

async function converse(lines: AsyncIterable<string>, write: (text: string) => void, command: string): Promise<void> {
  let answers = 0;
  for await (const line of lines) {
    const message = JSON.parse(line) as { QMP?: unknown; return?: unknown; error?: { desc: string } };
    if (message.error !== undefined) throw new Error(message.error.desc);
    if (message.QMP !== undefined) write('{"execute":"qmp_capabilities"}\n');
    if (message.return === undefined) continue;
    answers += 1;
    if (answers === 2) return;
    write(`${JSON.stringify({ execute: command })}\n`);
  }
  // `quit` may end qemu before its answer is out.
  if (command !== 'quit') throw new Error('the connection ended before the answer');
}
