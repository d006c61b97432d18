import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { validateXML } from 'xmllint-wasm';

const OWN = fileURLToPath(new URL('./xsd/cpix', import.meta.url));
const GIVEN = process.env['CPIX_XSD'];

/** What the schema says against documents, by one call since each takes a while: ours, or the one in the folder that CPIX_XSD names. */
export async function cpixSchemaErrors(...documents: readonly string[]): Promise<readonly string[]> {
  const [folder, mainName] = GIVEN ? [GIVEN, 'cpix.xsd'] : [OWN, 'cpix-subset.xsd'];
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.xsd'))
    .map((fileName) => ({ fileName, contents: readFileSync(join(folder, fileName), 'utf8') }));
  const main = files.find(({ fileName }) => fileName === mainName);
  if (!main) throw new Error(`${folder} has no ${mainName}`);
  const result = await validateXML({
    xml: documents.map((contents, at) => ({ fileName: `${at}.xml`, contents })),
    schema: [main],
    preload: files.filter((file) => file !== main),
  });
  return result.errors.map(({ message }) => message);
}
