import { spawn } from 'node:child_process';

/**
 * Runs a TypeScript program in a network, mount and process namespace of its own, and returns what it wrote as JSON. Whatever it
 * starts ends with it. Without root, /dev/net/tun must be writable for the taps.
 */
export function inOwnNetwork<T>(program: string, args: readonly string[]): Promise<T> {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const namespaces = [...user, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  return new Promise((resolve, reject) => {
    const child = spawn('unshare', [...namespaces, process.execPath, program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(stdout) as T);
      else reject(new Error(`${program} ended with ${code}: ${stderr}`));
    });
  });
}
