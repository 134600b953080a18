/*
 * What a page needs only when it asks how things are: loaded then, where the page may load
 * anything. Where it may not, there is what is known without.
 */
export { measure } from './connection-stats.ts';
export { writeReport } from './report.ts';
