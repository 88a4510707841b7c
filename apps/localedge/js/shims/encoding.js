import { call } from 'internal:realm';

const STANDARD = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const URL_SAFE = `${STANDARD.slice(0, 62)}-_`;

const bytesOf = (data) => {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new TypeError('expected a typed array');
};

function encode64(alphabet, padding, data) {
  const bytes = bytesOf(data);
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += alphabet[word >> 18] + alphabet[(word >> 12) & 63];
    text += left > 1 ? alphabet[(word >> 6) & 63] : padding;
    text += left > 2 ? alphabet[word & 63] : padding;
  }
  return text;
}

const indexOf = (alphabet) => new Map([...alphabet].map((letter, index) => [letter, index]));

function decode64(index, text) {
  const letters = String(text).replace(/[\t\n\f\r ]/g, '').replace(/={1,2}$/, '');
  if (letters.length % 4 === 1) throw new Error('invalid base64: wrong length');
  const bytes = new Uint8Array(Math.floor((letters.length * 3) / 4));
  let word = 0;
  let filled = 0;
  for (let i = 0; i < letters.length; i += 1) {
    const value = index.get(letters[i]);
    if (value === undefined) throw new Error('invalid base64: unexpected character');
    word = ((word << 6) | value) & 0xffffff;
    if (i % 4 !== 0) {
      bytes[filled] = (word >> (6 - 2 * (i % 4))) & 0xff;
      filled += 1;
    }
  }
  return bytes;
}

const latin1 = (bytes) => {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};

/** decode(text, 'String' | 'Uint8Array'): bytes unless text is asked for. */
const shaped = (bytes, shape) => (shape === 'String' ? latin1(bytes) : bytes);

const standardIndex = indexOf(STANDARD);
const urlIndex = indexOf(URL_SAFE);

export const base64 = Object.freeze({
  encode: (bytes) => encode64(STANDARD, '=', bytes),
  decode: (text, shape) => shaped(decode64(standardIndex, text), shape),
});

export const base64url = Object.freeze({
  encode: (bytes) => encode64(URL_SAFE, '', bytes),
  decode: (text, shape) => shaped(decode64(urlIndex, text), shape),
});

export const base16 = Object.freeze({
  encode: (data) => Array.from(bytesOf(data), (byte) => byte.toString(16).padStart(2, '0')).join(''),
  decode: (text, shape) => {
    if (!/^(?:[0-9A-Fa-f]{2})*$/.test(text)) throw new Error('invalid base16');
    return shaped(Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16)), shape);
  },
});

export const atob = (text) => latin1(decode64(standardIndex, text));

export function btoa(text) {
  const letters = String(text);
  if (/[^\0-\xff]/.test(letters)) throw new Error('btoa: character outside Latin-1');
  return base64.encode(Uint8Array.from(letters, (letter) => letter.charCodeAt(0)));
}

export class TextEncoder {
  get encoding() {
    return 'utf-8';
  }

  encode(text = '') {
    return call('encodeUtf8', String(text));
  }
}

export class TextDecoder {
  #fatal;
  #keepBom;

  constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(String(label).trim())) throw new RangeError('the local edge decodes UTF-8 only');
    this.#fatal = Boolean(fatal);
    this.#keepBom = Boolean(ignoreBOM);
  }

  get encoding() {
    return 'utf-8';
  }

  get fatal() {
    return this.#fatal;
  }

  decode(data = new Uint8Array()) {
    return call('decodeUtf8', bytesOf(data), this.#fatal, this.#keepBom);
  }
}
