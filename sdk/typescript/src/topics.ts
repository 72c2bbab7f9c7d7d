/** The names of topics. What happens on each is said at `muster.events.v1.Subscription`. */
export const topics = {
  /** One's own: matches, tickets, seats. */
  player: (playerId: string): string => `player/${playerId}`,
  /** What happens in a session. */
  session: (sessionId: string): string => `session/${sessionId}`,
  /** The changes of a leaderboard. */
  board: (gameId: string, boardKey: string): string => `board/${gameId}/${boardKey}`,
  /** What is said to everyone, or about a game. */
  announcements: (gameId?: string): string => (gameId === undefined ? "announcements" : `announcements/${gameId}`),
} as const;
