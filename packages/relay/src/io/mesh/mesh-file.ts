import { readFile } from 'node:fs/promises';
import { type SignedRelayRecord, decodeRecordLine, encodeRecordLine } from '@lumamesh/protocol';
import { replaceFile } from '../replace-file.ts';

const HEADER =
  '# Relays of the mesh that answered when this was written; read at start, one record a line (docs/operations.md).\n';
/** A node needs a few hundred to find its way back; more only take time to dial. */
export const MAX_SAVED_RECORDS = 512;
const MAX_FILE_BYTES = 1_048_576;

/**
 * The records of a mesh file; lines that cannot be read are left out, and a missing or huge file is
 * an empty one.
 */
export async function loadMeshFile(file: string): Promise<readonly SignedRelayRecord[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return [];
  }
  if (text.length > MAX_FILE_BYTES) return [];
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  return lines.slice(0, MAX_SAVED_RECORDS).flatMap((line) => {
    const record = decodeRecordLine(line);
    return record.ok ? [record.value] : [];
  });
}

/** Replaces the file as a whole. Rejects with the system's error. */
export async function saveMeshFile(
  file: string,
  records: readonly SignedRelayRecord[],
): Promise<void> {
  const lines = records
    .slice(0, MAX_SAVED_RECORDS)
    .map((record) => `${encodeRecordLine(record)}\n`);
  await replaceFile(file, HEADER + lines.join(''));
}
