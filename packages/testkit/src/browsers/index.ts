export { type BrowserName, findBrowser, launchBrowser } from './launch.ts';
export { type StrictPage, findTestAddress, serveStrictPage } from './strict-page.ts';
