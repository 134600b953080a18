import { join } from 'node:path';

/** The project's compiler. Dependencies bring other versions, one of which is `tsc` on the PATH. */
export const TSC = join(import.meta.dirname, '../node_modules/typescript/bin/tsc');
