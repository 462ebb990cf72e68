// Decodes a message of Parca's WriteRaw with the schema that Parca publishes (npm's @parca/client),
// prints the labels of its series and writes their profiles to OUTPUT-0.pb.gz, OUTPUT-1.pb.gz, …
import { readFileSync, writeFileSync } from "node:fs";
import { register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// The package is made for bundlers: its imports have no endings, and nothing says that it is a module.
const hooks = `
export async function resolve(name, context, next) {
  return next(name.startsWith(".") && !name.endsWith(".js") ? name + ".js" : name, context);
}
export async function load(url, context, next) {
  return next(url, url.includes("@parca/client") ? { ...context, format: "module" } : context);
}`;
register("data:text/javascript," + encodeURIComponent(hooks));

const [input, output] = process.argv.slice(2);
const schema = "@parca/client/dist/parca/profilestore/v1alpha1/profilestore.js";
const { WriteRawRequest } = await import(pathToFileURL(join(process.env.NODE_PATH, schema)));
const request = WriteRawRequest.fromBinary(readFileSync(input), {
  readUnknownField: "throw",
});
let number = 0;
const series = request.series.map(({ labels, samples }) => ({
  labels: Object.fromEntries(labels.labels.map(({ name, value }) => [name, value])),
  profiles: samples.map(({ rawProfile }) => {
    const file = `${output}-${number++}.pb.gz`;
    writeFileSync(file, rawProfile);
    return file;
  }),
}));
process.stdout.write(JSON.stringify({ normalized: request.normalized, series }));
