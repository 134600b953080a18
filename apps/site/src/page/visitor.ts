/** What each visitor tells of himself. */
export interface Visitor {
  readonly name: string;
  readonly colour: string;
}

/** What a visitor says of himself, as far as it can be used. */
export function visitorOf(state: Readonly<Record<string, unknown>>): Visitor {
  const { name, colour } = (state['user'] ?? {}) as Partial<Record<keyof Visitor, unknown>>;
  return {
    name: typeof name === 'string' ? name.slice(0, 40) : 'somebody',
    // Whatever else it is would be no colour, and is ignored by the style.
    colour: typeof colour === 'string' ? colour.slice(0, 40) : 'gray',
  };
}
