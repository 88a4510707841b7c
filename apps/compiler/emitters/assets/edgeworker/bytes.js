// Between text and bytes.
import { base64url, TextDecoder, TextEncoder } from "encoding";

export const toBytes = (text) => new TextEncoder().encode(text);

export const fromBytes = (bytes) => new TextDecoder().decode(bytes);

export const toBase64url = (bytes) => base64url.encode(bytes).replace(/=+$/, "");

export const fromBase64url = (text) => base64url.decode(text, "Uint8Array");

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
