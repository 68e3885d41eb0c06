import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

/** What happens once `bytes` have gone in one direction, counted from the start of a connection. */
export interface Cut {
  readonly direction: 'toHost' | 'fromHost';
  readonly bytes: number;
  /** `close` ends both sides; `silence` forwards nothing any more, in either direction, and says nothing. */
  readonly effect: 'close' | 'silence';
}

/** Something in the network between operator and director. */
export interface TcpProxy {
  readonly port: number;
  /** Applies to connections from now on. */
  cut: Cut | undefined;
  /** Bytes that the last connection carried, by direction. */
  readonly carried: Readonly<Record<Cut['direction'], number>>;
  stop(): Promise<void>;
}

/** Forwards connections to the port, on loopback unless another host is said, until a cut. */
export async function startTcpProxy(to: number, host = '127.0.0.1'): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (near) => {
    const far = createConnection({ host, port: to, noDelay: true });
    const carried = { toHost: 0, fromHost: 0 };
    proxy.carried = carried;
    const { cut } = proxy;
    let isCut = false;
    function forward(from: Socket, into: Socket, direction: Cut['direction']): void {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        // A silent network does not tell that the host has gone.
        if (!(isCut && cut?.effect === 'silence' && direction === 'fromHost')) into.destroy();
      });
      from.on('data', (chunk: Buffer) => {
        if (isCut) return;
        const room = cut?.direction === direction ? cut.bytes - carried[direction] : chunk.length;
        carried[direction] += Math.min(room, chunk.length);
        into.write(chunk.subarray(0, room));
        if (room >= chunk.length) return;
        isCut = true;
        if (cut?.effect === 'close') into.end(() => from.destroy());
      });
    }
    forward(near, far, 'toHost');
    forward(far, near, 'fromHost');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: { -readonly [K in keyof TcpProxy]: TcpProxy[K] } = {
    port: (server.address() as AddressInfo).port,
    cut: undefined,
    carried: { toHost: 0, fromHost: 0 },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
