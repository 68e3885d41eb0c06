/** Kinds of resources that a dial or a session may hold: sockets, timers, child processes. */
const WATCHED = /^(TCPSocketWrap|TCPConnectWrap|Timeout|ProcessWrap|PipeWrap)$/;

/** What is open now, counted by kind: to be compared with {@link nothingLeft} at the end. */
export async function openResources(): Promise<Readonly<Record<string, number>>> {
  // mocha starts a test's timer when it has been given the promise: after this, the timer counts here as it will at the end.
  await new Promise((resolve) => setImmediate(resolve));
  return count();
}

function count(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (WATCHED.test(kind)) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Waits until no more is open than at the start, of any kind, for at most 2 s. Throws what is left. */
export async function nothingLeft(start: Readonly<Record<string, number>>): Promise<void> {
  const until = Date.now() + 2_000;
  for (;;) {
    const left = Object.entries(count()).filter(([kind, count]) => count > (start[kind] ?? 0));
    if (left.length === 0) return;
    if (Date.now() > until)
      throw new Error(`still open 2 s after the end: ${JSON.stringify(Object.fromEntries(left))}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
