import { bundleClient } from './client-bundle.ts';
import { gzipSync } from 'node:zlib';
import { writeFileSync } from 'node:fs';
for (const f of ['lumamesh-core.js','lumamesh.js'] as const) {
const t = await bundleClient(f);
writeFileSync('/tmp/'+f, t);
console.log(f, t.length, gzipSync(t,{level:9}).length, 'no this.#', gzipSync(t.replaceAll('this.#',''),{level:9}).length, (t.match(/this\.#/g)??[]).length, 'this.', (t.match(/this\./g)??[]).length);
// all property names remaining with len>5 and count
const m = new Map<string,number>();
for (const [,n] of t.matchAll(/[.{,](?:get )?([A-Za-z]\w{4,})(?=[\s(:=,;.)}!?&|[\]<>*+-])/g)) m.set(n!, (m.get(n!)??0)+1);
console.log([...m].sort((a,b)=>b[1]*b[0].length-a[1]*a[0].length).slice(0,140).map(([n,c])=>n+':'+c).join(' '));
}
