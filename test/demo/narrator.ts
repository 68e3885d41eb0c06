import { createInterface } from 'node:readline/promises';

/** Tells the demo: titles, sentences, commands and what they print; on a terminal with colour, and waiting for Enter when asked to. */
export class Narrator {
  readonly #output: NodeJS.WriteStream;
  readonly #total: number;
  readonly #stepwise: boolean;
  #step = 0;

  /** @param total number of steps that will be told */
  constructor(total: number) {
    this.#output = process.stdout;
    this.#total = total;
    this.#stepwise = process.stdin.isTTY === true && process.env.DEMO_STEP === '1';
  }

  /** Begins the next step with its title and why it is worth seeing. */
  async step(title: string, why: string): Promise<void> {
    if (this.#stepwise && this.#step > 0) await this.#enter();
    this.#step += 1;
    const heading = `${this.#step}/${this.#total}  ${title}`;
    this.#line();
    this.#line(this.#paint(`━━ ${heading} ${'━'.repeat(Math.max(3, 96 - heading.length))}`, '1;36'));
    for (const line of wrap(why)) this.#line(this.#paint(`   ${line}`, '2'));
  }

  /** A command as a person would type it, with what it printed. */
  command(where: string, command: string, printed: string): void {
    this.#line();
    this.#line(`   ${this.#paint(`${where}$`, '32')} ${this.#paint(command, '1')}`);
    for (const line of printed.trimEnd().split('\n')) this.#line(`   ${line}`);
  }

  /** What has been checked and found true. */
  seen(sentence: string): void {
    this.#line(`   ${this.#paint('✓', '32')} ${sentence}`);
  }

  /** A line of its own, outside any step. */
  say(sentence: string): void {
    this.#line(sentence);
  }

  /** What is being done now: the steps so far, for the message of a failure. */
  get position(): string {
    return `step ${this.#step} of ${this.#total}`;
  }

  async #enter(): Promise<void> {
    const terminal = createInterface({ input: process.stdin, output: this.#output });
    await terminal.question(this.#paint('\n   [Enter] for the next step ', '2'));
    terminal.close();
  }

  #line(text = ''): void {
    this.#output.write(`${text}\n`);
  }

  #paint(text: string, code: string): string {
    return this.#output.isTTY ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

function wrap(text: string, width = 100): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}
