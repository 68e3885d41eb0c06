import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { Writable } from 'node:stream';
import winston from 'winston';
import { createLogger, type LogLevel } from '../../../operator/observe/logger.ts';

describe('createLogger', () => {
  function logger(level: LogLevel = 'info') {
    const lines: Record<string, unknown>[] = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        lines.push(JSON.parse(String(chunk)));
        done();
      },
    });
    return { lines, ...createLogger({ level, transport: new winston.transports.Stream({ stream }) }) };
  }

  it('writes one JSON object per line, with time and fields', async () => {
    const { log, end, lines } = logger();
    log.info('The lease is ours', { epoch: 3 });
    await end();
    const [{ timestamp, ...rest } = {}] = lines;
    assert.deepEqual(rest, { level: 'info', message: 'The lease is ours', epoch: 3 });
    assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT.*Z$/);
  });

  it('gives children their fields, and keeps level and message whatever the fields are called', async () => {
    const { log, end, lines } = logger();
    log.child({ director: 'front-1' }).child({ pass: 1 }).warn('Slow', { message: 'x', level: 'debug', pass: 2 });
    await end();
    const [{ timestamp: _, ...rest } = {}] = lines;
    assert.deepEqual(rest, { level: 'warn', message: 'Slow', director: 'front-1', pass: 2 });
  });

  it('leaves out what is below its level', async () => {
    const { log, end, lines } = logger('warn');
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    await end();
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['c', 'd'],
    );
  });

  it('never writes a secret', async () => {
    const { log, end, lines } = logger();
    const privateKey = '-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----';
    log.error(`Failed with ${privateKey}`, { target: { privateKey }, error: new Error(privateKey) });
    await end();
    assert.ok(!JSON.stringify(lines).includes('MC4CAQ'));
  });

  it('has written everything to a pipe when end() settles', () => {
    const module = new URL('../../../operator/observe/logger.ts', import.meta.url).href;
    const script = `
      import { createLogger } from ${JSON.stringify(module)};
      const { log, end } = createLogger({ level: 'info' });
      for (let i = 0; i < 5000; i++) log.info('line', { i });
      await end();
      process.exit(0);`;
    const { stdout, status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      maxBuffer: 16 << 20,
    });
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trimEnd().split('\n').length, 5_000);
  });
});
