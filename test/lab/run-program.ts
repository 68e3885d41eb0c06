import { spawn } from 'node:child_process';

/** How a program ended and what it said. */
export interface ProgramResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code; 128 and more when a signal ended it. */
  readonly code: number;
}

export interface RunOptions {
  /** What the program reads on standard input; nothing when absent. */
  readonly input?: string;
  /** The program is killed after this time. Default 60,000 ms. */
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a program to its end. A failure of the program is a value; an error means that it could not be run or did not end. */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<ProgramResult> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  const line = [program, ...args].join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'pipe', env: options.env ?? process.env });
    let [stdout, stderr, late] = ['', '', false];
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // A program that ends without reading its input closes the pipe; its exit code tells what was wrong.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new Error(`${program} could not be run: ${error.message}`, { cause: error }));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (late) reject(new Error(`${line} did not end within ${timeoutMs} ms: ${lastLine(stderr || stdout)}`));
      else resolve({ stdout, stderr, code: code ?? 128 });
    });
  });
}

/** Runs a program that must succeed; the error names it and its last words. */
export async function mustRun(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await runProgram(program, args, options);
  if (result.code !== 0) {
    const words = lastLine(result.stderr || result.stdout);
    throw new Error(`${[program, ...args].join(' ')} failed with ${result.code}: ${words}`);
  }
  return result.stdout;
}

function lastLine(text: string): string {
  return text.trim().split('\n').slice(-3).join(' / ') || '(it said nothing)';
}
