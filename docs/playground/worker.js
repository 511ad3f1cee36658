// Python, beside the page: so that the page stays alive while it works. JSON in, JSON out.

const fetched = self.fetch;
let bytes = 0;

/** fetch, telling the page how much has come. */
self.fetch = async (...asked) => {
  const response = await fetched(...asked);
  if (!response.body) return response;
  const counted = response.body.pipeThrough(new TransformStream({
    transform(chunk, stream) {
      bytes += chunk.byteLength;
      self.postMessage({ loaded: bytes });
      stream.enqueue(chunk);
    },
  }));
  return new Response(counted, { status: response.status, headers: response.headers });
};

let answer;

self.onmessage = async ({ data }) => {
  if (data.start) {
    try {
      const { loadPyodide } = await import(`${data.start}pyodide.mjs`);
      const python = await loadPyodide({ indexURL: data.start });
      await python.loadPackage("numpy", { messageCallback: () => {} });
      if (!python.loadedPackages.numpy) throw new Error("NumPy did not come");
      python.unpackArchive(data.library, "zip");
      answer = python.pyimport("playground").answer;
      self.postMessage({ ready: true });
    } catch (error) {
      self.postMessage({ failed: String(error.message ?? error) });
    }
    return;
  }
  try {
    self.postMessage({ answer: answer(data.asked) });
  } catch (error) { // no error of the program, which would be an answer
    self.postMessage({ answer: JSON.stringify({ error: { text: String(error.message ?? error).trim().split("\n").pop(), line: null } }) });
  }
};
