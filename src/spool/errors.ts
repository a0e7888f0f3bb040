/** A file of the spool was written by a newer tidegate. Nothing was touched; run that version, or give this one another data_dir. */
export class SpoolFormatError extends Error {
  readonly code = 'spool-format';
  readonly path: string;
  constructor(path: string, version: number, supported: number) {
    super(
      `${path} has format version ${version}, written by a newer tidegate; this one reads up to version ${supported} and has touched nothing. Run the newer version, or use another data_dir.`,
    );
    this.name = 'SpoolFormatError';
    this.path = path;
  }
}
