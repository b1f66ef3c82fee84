// Bundles the page's program, style and runtime into the package; --check compares instead.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const OUT = new URL("../src/autoencode/pictures/web/", import.meta.url);
const check = process.argv.includes("--check");

const bundled = await build({
  absWorkingDir: here,
  entryPoints: { explorer: "src/main.ts" },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  platform: "browser",
  external: ["node:*", "module", "fs", "path", "worker_threads"],
  legalComments: "none", // licences.txt holds them
  charset: "ascii",
  write: false,
  metafile: true,
  outdir: "out",
  logLevel: "warning",
});
const style = await build({
  absWorkingDir: here,
  entryPoints: ["src/explorer.css"],
  minify: true,
  target: "es2022",
  write: false,
  logLevel: "warning",
});

const used = new Set();
for (const input of Object.keys(bundled.metafile.inputs)) {
  const found = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/);
  if (found) used.add(found[1]);
}

/** Lists the packages whose code is in the bundle, with their licences. */
function licences() {
  const texts = [...used].sort().map((name) => {
    const facts = JSON.parse(
      readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url)),
    );
    const text = readFileSync(
      new URL(`licences/${name.replace("/", "__")}.txt`, import.meta.url),
      "utf8",
    );
    return `${name} ${facts.version} (${facts.license})\n\n${text.trim()}\n`;
  });
  return `Code of others in explorer.js and ort.wasm.gz\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}

const runtime = readFileSync(
  new URL("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", import.meta.url),
);
const files = {
  "explorer.js": bundled.outputFiles[0].contents,
  "explorer.css": style.outputFiles[0].contents,
  "licences.txt": Buffer.from(licences()),
  "ort.wasm.gz": runtime,
};

let differ = 0;
for (const [name, content] of Object.entries(files)) {
  const path = new URL(name, OUT);
  const packed = name.endsWith(".gz");
  if (!check) {
    writeFileSync(path, packed ? gzipSync(content, { level: 9 }) : content);
    continue;
  }
  // What gzip makes of the same bytes differs between machines, so what it holds is compared.
  const there = readFileSync(path);
  if (Buffer.compare(packed ? gunzipSync(there) : there, Buffer.from(content)) !== 0) {
    console.error(`${name} is not what web/ makes; run make web`);
    differ += 1;
  }
}
process.exitCode = differ ? 1 : 0;
