/** Options that several verbs have. */
import { Option } from 'commander';

export const configOption = (): Option => new Option('-c, --config <file>', 'configuration file');
export const dataDirOption = (): Option =>
  new Option('--data-dir <dir>', 'data_dir of the running instance, instead of reading it from the configuration');
export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text');

/** Makes a verb; the second argument sets the exit code of a verb that ends well but found something. */
export type { CliContext } from './context.ts';
