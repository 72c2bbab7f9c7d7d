/**
 * Everything that is generated from the API: services, messages, enums. What they mean is said in their comments.
 *
 * @packageDocumentation
 */
export * from "./gen/muster/auth/v1/auth_pb.js";
export * from "./gen/muster/events/v1/event_pb.js";
export * from "./gen/muster/events/v1/events_pb.js";
export * from "./gen/muster/game/v1/attribute_pb.js";
export * from "./gen/muster/game/v1/catalog_pb.js";
export * from "./gen/muster/game/v1/clock_pb.js";
export * from "./gen/muster/game/v1/definition_pb.js";
export * from "./gen/muster/game/v1/entity_pb.js";
export * from "./gen/muster/game/v1/region_pb.js";
export * from "./gen/muster/game/v1/session_pb.js";
export * from "./gen/muster/game/v1/stream_pb.js";
export * from "./gen/muster/leaderboard/v1/history_pb.js";
export * from "./gen/muster/leaderboard/v1/leaderboard_pb.js";
export * from "./gen/muster/matchmaking/v1/matchmaking_pb.js";
export * from "./gen/muster/player/v1/player_pb.js";
export * from "./gen/muster/presence/v1/presence_pb.js";
