import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '../controllers/ports.ts';
import type { Metrics } from './metrics.ts';

export interface HealthServerOptions {
  /** Address to listen on, e.g. `0.0.0.0`. */
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Undefined when well; else the sentence that /healthz answers with status 503. */
  readonly unhealthy: () => string | undefined;
  /** The same for /readyz. */
  readonly unready: () => string | undefined;
  readonly metrics: Metrics;
  readonly log: Log;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** /healthz, /readyz, /metrics. Rejects when the address cannot be listened on. */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { host, log } = options;
  const server = createServer((request, response) => {
    answer(options, request.url ?? '', response).catch((error: unknown) => {
      log.error('A health or metrics request failed', { error });
      response.writeHead(500).end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, host, () => resolve());
  });
  server.on('error', (error) => log.error('The health server failed', { error }));
  const { port } = server.address() as AddressInfo;
  log.info('Health and metrics are served', { host, port });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, close };
}

async function answer(options: HealthServerOptions, url: string, response: ServerResponse): Promise<void> {
  switch (url.split('?')[0]) {
    case '/healthz':
      return answerProbe(response, options.unhealthy());
    case '/readyz':
      return answerProbe(response, options.unready());
    case '/metrics': {
      const { contentType, text } = await options.metrics.render();
      response.writeHead(200, { 'content-type': contentType }).end(text);
      return;
    }
    default:
      response.writeHead(404, { 'content-type': 'text/plain' }).end('There are /healthz, /readyz and /metrics.\n');
  }
}

function answerProbe(response: ServerResponse, trouble: string | undefined): void {
  response.writeHead(trouble === undefined ? 200 : 503, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${trouble ?? 'ok'}\n`);
}
