/**
 * The few globals that every runtime of ours has and that the ES library does not declare. Only the
 * pure type check reads this file.
 */
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes: Uint8Array): string;
}
declare class URL {
  constructor(text: string);
  readonly host: string;
}
declare function btoa(binary: string): string;
declare function atob(base64: string): string;
