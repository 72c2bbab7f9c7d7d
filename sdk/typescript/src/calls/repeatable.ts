import {
  clone,
  create,
  type DescMessage,
  type DescMethod,
  isMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

/** A request that is ready to be sent, and whether it may be sent again when nobody knows what became of it. */
export interface PreparedRequest<I extends DescMessage> {
  readonly message: MessageShape<I>;
  readonly repeatable: boolean;
}

/**
 * Makes the request of a method, and fills in the ids that make it safe to repeat where the caller has left them empty.
 */
export function prepare<I extends DescMessage>(
  method: DescMethod & { input: I },
  input: MessageInitShape<I>,
  newId: () => string,
): PreparedRequest<I> {
  // What the caller holds stays as it is.
  const message = isMessage(input, method.input)
    ? clone(method.input, input as MessageShape<I>)
    : create(method.input, input);
  const name = `${method.parent.typeName}/${method.name}`;
  if (name === PUBLISH) return { message, repeatable: fillEvents(message as unknown as Fields, newId) };
  const paths = REPEATABLE_WRITES.get(name);
  for (const path of paths ?? []) fill(message as unknown as Fields, path.split("."), newId);
  return { message, repeatable: paths !== undefined || READS.test(method.name) };
}

/** Methods that change nothing. */
const READS = /^(Get|BatchGet|List|Find|Validate)/;

const PUBLISH = "muster.events.v1.EventService/Publish";

/**
 * Methods that may be repeated, with the fields for an id made by the client: `*` stands for each one of a list. A
 * write that is not named here is sent once.
 */
const REPEATABLE_WRITES: ReadonlyMap<string, readonly string[]> = new Map([
  ...methods("muster.auth.v1.AuthService", {
    Register: ["registrationId"],
    Login: [],
    LoginWithDevice: [],
    RefreshToken: [],
    IssueServerToken: [],
    Logout: [],
    EndOtherDeviceSessions: [],
    ChangePassword: [],
    DeleteAccount: [],
    BanUser: [],
    UnbanUser: [],
    SetRole: [],
  }),
  ...methods("muster.game.v1.CatalogService", {
    CreateGame: ["gameId"],
    ArchiveGame: [],
    RestoreGame: [],
    ApplyGame: [],
  }),
  ...methods("muster.game.v1.SessionService", {
    CreateSession: ["sessionId"],
    JoinSession: [],
    JoinSessionByCode: [],
    LeaveSession: [],
    KickPlayer: [],
    TransferOwnership: [],
    StartSession: [],
    PauseSession: [],
    ResumeSession: [],
    FinishSession: [],
    DeleteSession: [],
  }),
  ...methods("muster.game.v1.EntityService", {
    CreateEntity: ["entity.entityId"],
    BatchChangeEntities: ["eventId"],
  }),
  ...methods("muster.events.v1.EventService", { CreateAnnouncement: ["announcementId"] }),
  ...methods("muster.presence.v1.PresenceService", { SetPresence: [] }),
  ...methods("muster.matchmaking.v1.MatchmakingService", {
    CreateTicket: ["ticketId"],
    CancelTicket: [],
    SeedRating: [],
  }),
  ...methods("muster.leaderboard.v1.LeaderboardService", {
    SubmitScore: ["score.submissionId"],
    BatchSubmitScores: ["scores.*.submissionId"],
  }),
]);

type Fields = Record<string, unknown>;

function methods(service: string, paths: Record<string, readonly string[]>): [string, readonly string[]][] {
  return Object.entries(paths).map(([method, fields]) => [`${service}/${method}`, fields]);
}

/** Retained events are told apart by their ids; what is unretained is not worth a second try. */
function fillEvents(message: Fields, newId: () => string): boolean {
  fill(message, ["events", "*", "eventId"], newId);
  return (message["events"] as { unretained: boolean }[]).every(({ unretained }) => !unretained);
}

function fill(fields: unknown, path: readonly string[], newId: () => string): void {
  const [name, ...rest] = path;
  if (name === undefined || fields === undefined) return;
  if (name === "*") {
    for (const item of fields as unknown[]) fill(item, rest, newId);
    return;
  }
  const record = fields as Fields;
  if (rest.length > 0) fill(record[name], rest, newId);
  else if (record[name] === "") record[name] = newId();
}
