// How would a program ask for the same? curl and the official Python SDK, as text to be copied.

/** @param {object} body a request for pictures */
export function curl(body, { base, hasKey }) {
  const lines = [`curl ${base}/v1/images/generations`, "-H 'content-type: application/json'"];
  if (hasKey) lines.push('-H "authorization: Bearer $GOLDILOCKS_KEY"');
  lines.push(`-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`);
  return `${lines.join(" \\\n  ")}\n`;
}

/** Fields that the SDK has arguments for; all others go into `extra_body`. */
const ARGUMENTS = ["prompt", "model", "n", "size", "quality", "output_format", "output_compression"];

/** @param {object} body a request for pictures */
export function python(body, { base, hasKey }) {
  const entries = Object.entries(body);
  const named = entries
    .filter(([name]) => ARGUMENTS.includes(name))
    .map(([name, value]) => `    ${name}=${literal(value)},`);
  const extra = Object.fromEntries(entries.filter(([name]) => !ARGUMENTS.includes(name)));
  if (Object.keys(extra).length > 0) named.push(`    extra_body=${literal(extra)},`);
  const key = hasKey ? 'os.environ["GOLDILOCKS_KEY"]' : '"unused"';
  return [
    "import base64",
    ...(hasKey ? ["import os"] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${base}/v1", api_key=${key})`,
    "reply = client.images.generate(",
    ...named,
    ")",
    'print(reply.model_extra["plan"])',
    `open("picture.${body.output_format ?? "png"}", "wb").write(base64.b64decode(reply.data[0].b64_json))`,
    "",
  ].join("\n");
}

/** A JSON value in Python; its strings are the same. */
function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, field]) => `${JSON.stringify(name)}: ${literal(field)}`)
    .join(", ")}}`;
}
