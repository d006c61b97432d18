/** URIs of the complete segments that a media playlist lists, oldest first. */
export async function listedSegments(playlistUrl: string): Promise<string[]> {
  const text = await (await fetch(playlistUrl)).text();
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

/** Number of the newest complete segment. */
export async function newestSegment(playlistUrl: string): Promise<number> {
  const uri = (await listedSegments(playlistUrl)).at(-1) ?? '';
  const number = /(\d+)\.m4s$/.exec(uri)?.[1];
  if (number === undefined) throw new Error('the playlist lists no segment');
  return Number(number);
}
