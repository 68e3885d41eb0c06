/** A number that stands alone: not a part of an address, a name, a prefix or a version, and not the number of a port. */
const COUNT = /(?<![\w.:/"'-]|\bports? )\d+(?:\.\d+)?(?![\w:/"'-]|\.\d)/g;

/** The sentence with every count in it made equal, so that "3 of 5 nodes" and "4 of 5 nodes" are the same words. */
export function withoutCounts(sentence: string): string {
  return sentence.replace(COUNT, '#');
}
