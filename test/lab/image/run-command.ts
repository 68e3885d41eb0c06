import { execFile } from 'node:child_process';

/** What a program needs besides its name: the Debian package that brings it, for the message when it is missing. */
export interface Program {
  readonly name: string;
  readonly package: string;
}

/**
 * Runs a program to its end and returns its standard output. PATH includes the sbin directories, which ordinary users lack.
 * A missing program, a failure and its last words become one error that names the remedy.
 */
export function runCommand(
  program: Program,
  args: readonly string[],
  options: { readonly cwd?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const environment = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
    const settings = { cwd: options.cwd, env: environment, maxBuffer: 1 << 28 };
    execFile(program.name, args, settings, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      if (error.code === 'ENOENT')
        return reject(
          new Error(`${program.name} is missing: install the Debian package ${program.package}`, { cause: error }),
        );
      const lastWords = stderr.trim().split('\n').slice(-3).join(' / ');
      reject(new Error(`${program.name} ${args.join(' ')} failed: ${lastWords || error.message}`, { cause: error }));
    });
  });
}
