// Puts what Vite has built where the Go compiler takes it from: each file that gets smaller
// only compressed, twice, as the server sends it. The same sources give the same bytes.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const from = join(web, "dist");
const to = join(web, "..", "internal", "console", "dist");

for (const name of readdirSync(to)) {
  if (name !== "README") rmSync(join(to, name), { recursive: true });
}
const compressible = new Set([".js", ".css", ".svg", ".json"]);
for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = join(entry.parentPath, entry.name);
  const target = join(to, relative(from, path));
  const content = readFileSync(path);
  mkdirSync(dirname(target), { recursive: true });
  if (!compressible.has(extname(path)) || content.length < 1024) {
    writeFileSync(target, content);
    continue;
  }
  writeFileSync(target + ".gz", gzipSync(content, { level: 9 }));
  writeFileSync(target + ".br", brotliCompressSync(content, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
  }));
}
