// One JSON object a line, over a pipe.

export function readLines(stream, onLine) {
  let chunks = [];
  stream.on('data', (chunk) => {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      chunks.push(chunk.subarray(start, end));
      onLine(JSON.parse(Buffer.concat(chunks).toString('utf8')));
      chunks = [];
      start = end + 1;
    }
    if (start < chunk.length) chunks.push(chunk.subarray(start));
  });
}

export const writeLine = (stream, value) => stream.write(`${JSON.stringify(value)}\n`);
