/** Options that several verbs have. */
import { InvalidArgumentError, Option } from 'commander';

export const configOption = (): Option => new Option('-c, --config <file>', 'configuration file');
export const dataDirOption = (): Option =>
  new Option('--data-dir <dir>', 'data_dir of the running instance, instead of reading it from the configuration');
export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text');

/** For verbs that print JSON and nothing else: `-o json` is accepted as everywhere. */
export const jsonOption = (): Option =>
  new Option('-o, --output <format>', 'output format').choices(['json']).default('json');

/** The value of an option that counts. */
export function count(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('must be a whole number from 1 on');
  return Number(text);
}

/** Makes a verb; the second argument sets the exit code of a verb that ends well but found something. */
export type { CliContext } from './context.ts';
