import winston from 'winston';
import type { Log } from '../controllers/ports.ts';
import { redacted } from './redacted.ts';

export interface Logger {
  readonly log: Log;
  /** Settles when everything logged so far has left the process. Nothing may be logged afterwards. */
  readonly end: () => Promise<void>;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Where the lines go; default the console. */
  readonly transport?: winston.transport;
}

/** One JSON object per line: timestamp, level, message, then the fields. Errors with their causes, never a secret. */
export function createLogger({ level, transport = new winston.transports.Console() }: LoggerOptions): Logger {
  const { combine, timestamp, printf } = winston.format;
  const line = printf((info) => {
    const { timestamp: at, level: severity, message, ...fields } = redacted(info);
    return JSON.stringify({ timestamp: at, level: severity, message, ...fields });
  });
  const logger = winston.createLogger({ level, format: combine(timestamp(), line), transports: [transport] });
  return { log: logWith(logger, {}), end: () => endOf(logger) };
}

type Fields = Readonly<Record<string, unknown>>;

/** Fields never overwrite level and message. */
function logWith(logger: winston.Logger, bound: Fields): Log {
  const at = (level: LogLevel) => (message: string, fields?: Fields) => {
    logger.log({ ...bound, ...fields, level, message });
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => logWith(logger, { ...bound, ...fields }),
  };
}

async function endOf(logger: winston.Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    logger.once('finish', () => resolve());
    logger.end();
  });
  // The console transport has handed its lines to standard output, which may still hold them when that is a pipe.
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
}
