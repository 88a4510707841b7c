// Which workload a client certificate names. NGINX has no variable for alternative names, so the DER is walked here,
// strictly; it only happens for certificates whose fingerprint is not in the map.
var SUBJECT_ALT_NAME = '551d11';
var URI = 0x86;

function element(der, at, end) {
  let length = der[at + 1];
  let start = at + 2;
  if (length > 0x80) {
    let count = length - 0x80;
    if (count > 3) throw new Error('an element is too long');
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + der[start + i];
    start += count;
  } else if (length === 0x80) {
    throw new Error('an element has no definite length');
  }
  if (!(start + length <= end)) throw new Error('an element leaves its parent');
  return { tag: der[at], start: start, end: start + length };
}

function children(der, parent) {
  let found = [];
  let at = parent.start;
  while (at < parent.end) {
    let child = element(der, at, parent.end);
    found.push(child);
    at = child.end;
  }
  return found;
}

function extensionsOf(der) {
  let certificate = element(der, 0, der.length);
  let body = children(der, children(der, certificate)[0]);
  let wrapped = body.filter((part) => part.tag === 0xa3)[0];
  return wrapped === undefined ? [] : children(der, children(der, wrapped)[0]);
}

function urisOf(der) {
  let found = [];
  extensionsOf(der).forEach((extension) => {
    let parts = children(der, extension);
    if (der.slice(parts[0].start, parts[0].end).toString('hex') !== SUBJECT_ALT_NAME) return;
    let names = element(der, parts[parts.length - 1].start, parts[parts.length - 1].end);
    children(der, names).forEach((name) => {
      if (name.tag === URI) found.push(der.slice(name.start, name.end).toString());
    });
  });
  return found;
}

/** The SPIFFE id in a certificate of the trust domain; '' unless there is exactly one URI and it is one. */
function workloadOf(pem, trustDomain) {
  try {
    let uris = urisOf(Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64'));
    let ours = uris.length === 1 && uris[0].startsWith(`spiffe://${trustDomain}/`);
    return ours && /^[\x21-\x7e]+$/.test(uris[0]) ? uris[0] : '';
  } catch (e) {
    return '';
  }
}

export default { workloadOf };
