/**
 * The client of Muster. This is the layer by hand: sign-in, tokens, retries, live events that resume, and what games do
 * with them. What is generated from the API lies in `muster-client/api`.
 *
 * @packageDocumentation
 */
export type { Ambient } from "./ambient.js";
export { type Attributes, fromAttributes, toAttributes } from "./attributes.js";
export type { Auth, DeviceDescription, NewAccount } from "./auth.js";
export type { BoardName, Boards, CountOptions, LiveOptions, ReadOptions, Score } from "./boards.js";
export type { Clock, ClockEstimate } from "./clock.js";
export type { ConnectionState } from "./connection.js";
export { type FieldViolation, isMusterError, MusterError } from "./errors.js";
export type { Events } from "./events/events.js";
export type { GameEventInit } from "./events/publisher.js";
export type { PayloadHandlers, Subscription, TopicHandlers } from "./events/topic.js";
export { createMuster, type Muster, type MusterOptions } from "./muster.js";
export type { Observable } from "./observable.js";
export type { Page, PageEvent } from "./page.js";
export { type KeyValueStorage, memoryStorage } from "./storage.js";
export type { ActiveMatch, TicketRequest, Tickets, TicketSearch } from "./tickets.js";
export { topics } from "./topics.js";
export { type Client, Code } from "@connectrpc/connect";
