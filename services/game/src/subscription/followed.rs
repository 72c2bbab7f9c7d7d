//! The topics of one subscription: what is delivered on them, and the errands that take time.

use std::sync::Arc;

use futures::future::try_join_all;
use pkg_api::events::v1::connect_events_response::Message;
use pkg_api::events::v1::{Gap, Subscribed, TopicCloseReason, TopicClosed};
use pkg_bus::{Cursor, Delivery, PublishError, Reader, Topic};
use pkg_envelope::Audience;
use pkg_middleware::Actor;
use uuid::Uuid;

use super::frames::{Prepared, frame};
use super::leases::OpenLease;
use super::{Follower, Outgoing, SubscribeError, Subscriptions, Wanted};
use crate::presence_signs::OpenDevice;
use crate::sessions::{Admission, Lease, SessionError, Standing};
use crate::topics::{TopicError, TopicKind};

/// What a client follows. Its seats and its device count as there for as long as this lives.
pub(super) struct Followed {
    shared: Arc<Subscriptions>,
    follower: Follower,
    reader: Reader,
    sessions: Vec<FollowedSession>,
    /// What the last errand closed: whatever was taken of these topics before is not delivered.
    closed: Vec<Topic>,
    _device: Option<OpenDevice>,
}

struct FollowedSession {
    topic: Topic,
    session: Uuid,
    standing: Standing,
    /// Absent for those who have no seat to keep.
    lease: Option<OpenLease>,
}

/// Something that takes time. Nothing is delivered meanwhile.
pub(super) enum Errand {
    Follow(Vec<Wanted>),
    /// Events of a session are missing: its state is read instead.
    Recover {
        topic: Topic,
        cursor: Cursor,
    },
    /// The follower's seat changed: they may not be allowed any more, or be in another team.
    LookAgain {
        topic: Topic,
    },
}

impl Followed {
    pub(super) fn new(shared: Arc<Subscriptions>, follower: Follower) -> Self {
        let device = follower.actor.person().map(|person| shared.signs.open(person, follower.device));
        Self {
            reader: shared.bus.reader(),
            shared,
            follower,
            sessions: Vec::new(),
            closed: Vec::new(),
            _device: device,
        }
    }

    pub(super) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Adds what a delivery says to the follower. Says what is to be done before the next one.
    pub(super) fn deliver(&mut self, delivery: &Delivery, out: &mut Outgoing) -> Option<Errand> {
        match delivery {
            Delivery::Event(event) => event.with_prepared(
                |event| self.prepare(event),
                |prepared| {
                    let prepared = prepared.as_ref()?;
                    if self.is_for_us(event.topic(), &prepared.audience) {
                        out.push(prepared.frame.clone());
                    }
                    let is_ours = prepared.seat_of.is_some_and(|player| player == self.follower.actor.id());
                    is_ours.then(|| Errand::LookAgain { topic: event.topic().clone() })
                },
            ),
            Delivery::Gap { topic, cursor } => {
                if self.session(topic).is_some() {
                    return Some(Errand::Recover { topic: topic.clone(), cursor: *cursor });
                }
                out.push(gap(topic, *cursor));
                None
            }
            Delivery::Ended { topic } => {
                self.sessions.retain(|session| &session.topic != topic);
                out.push(closed(topic, TopicCloseReason::Ended));
                None
            }
        }
    }

    /// Whether a topic was closed by the last [`Followed::run`] or [`Followed::unfollow`].
    pub(super) fn has_closed(&self, topic: &Topic) -> bool {
        self.closed.contains(topic)
    }

    pub(super) fn unfollow(&mut self, topic: &Topic, out: &mut Outgoing) {
        self.closed = Vec::new();
        self.close(topic, TopicCloseReason::Unsubscribed, out);
    }

    /// Does what takes time; returns the messages that come of it.
    pub(super) async fn run(&mut self, errand: Errand) -> Result<Outgoing, SubscribeError> {
        let mut out = Outgoing::default();
        self.closed = Vec::new();
        match errand {
            Errand::Follow(wanted) => self.follow(wanted, &mut out).await?,
            Errand::Recover { topic, cursor } => self.recover(&topic, cursor, &mut out).await?,
            Errand::LookAgain { topic } => {
                self.look_again(&topic, &mut out).await?;
            }
        }
        Ok(out)
    }

    /// Every topic is asked about before the first is followed, so that a refusal has no effect.
    async fn follow(&mut self, wanted: Vec<Wanted>, out: &mut Outgoing) -> Result<(), SubscribeError> {
        let admissions = wanted.iter().map(|wanted| admit(&self.shared, self.follower.actor, &wanted.kind));
        let admissions = try_join_all(admissions).await?;
        for (Wanted { kind, cursor }, admission) in wanted.into_iter().zip(admissions) {
            let topic = kind.topic().map_err(|error| SubscribeError::Broken(error.into()))?;
            if admission.as_ref().is_some_and(|admission| admission.over) {
                // The bus may have forgotten how it ended.
                match self.shared.bus.end(&topic).await {
                    Ok(()) | Err(PublishError::Ended) => {}
                    Err(error) => return Err(SubscribeError::Unavailable(error.into())),
                }
            }
            let cursor = self.reader.follow(&topic, cursor).await?;
            if let (TopicKind::Session(session), Some(admission)) = (kind, admission) {
                self.take_place(&topic, session, admission).await?;
            }
            let subscribed = Subscribed { topic: topic.as_str().to_owned(), cursor: cursor.to_string() };
            out.push(frame(Message::Subscribed(subscribed)));
        }
        Ok(())
    }

    /// Notes as whom the topic is followed, and keeps the follower's seat meanwhile.
    async fn take_place(&mut self, topic: &Topic, session: Uuid, admission: Admission) -> Result<(), SubscribeError> {
        let known = self.sessions.iter().position(|known| &known.topic == topic);
        let holds_already = known.is_some_and(|place| self.sessions[place].lease.is_some());
        let lease = if admission.holds() && !holds_already {
            let lease = Lease { session, user: self.follower.actor.id(), stream: self.shared.ambient.id() };
            let opened = self.shared.leases.open(lease).await;
            Some(opened.map_err(|error| SubscribeError::of_session(error, topic))?)
        } else {
            None
        };
        let standing = admission.standing;
        match known.map(|place| &mut self.sessions[place]) {
            Some(known) => {
                known.standing = standing;
                known.lease = known.lease.take().or(lease);
            }
            None => self.sessions.push(FollowedSession { topic: topic.clone(), session, standing, lease }),
        }
        Ok(())
    }

    async fn recover(&mut self, topic: &Topic, cursor: Cursor, out: &mut Outgoing) -> Result<(), SubscribeError> {
        let Some(session) = self.look_again(topic, out).await? else { return Ok(()) };
        let snapshot = self.shared.sessions.snapshot(session).await;
        match snapshot.map_err(|error| SubscribeError::of_session(error, topic))? {
            Some(snapshot) => {
                let (topic, cursor) = (topic.as_str().to_owned(), cursor.to_string());
                let gap = Gap { topic, cursor, session: Some(snapshot), methods: Vec::new() };
                out.push(frame(Message::Gap(gap)));
            }
            None => self.close(topic, TopicCloseReason::Ended, out),
        }
        Ok(())
    }

    /// Asks whether the follower may go on, and as whom. Returns the session if so.
    async fn look_again(&mut self, topic: &Topic, out: &mut Outgoing) -> Result<Option<Uuid>, SubscribeError> {
        let Some(session) = self.session(topic).map(|known| known.session) else { return Ok(None) };
        match self.shared.sessions.admit(self.follower.actor, session).await {
            Ok(admission) => {
                self.take_place(topic, session, admission).await?;
                Ok(Some(session))
            }
            Err(SessionError::NotFound | SessionError::Refused(_)) => {
                // A private session is not there for those without a seat.
                let states = self.shared.sessions.states(&[session]).await;
                let states = states.map_err(|error| SubscribeError::of_session(error, topic))?;
                let is_there = states.into_iter().any(|state| state.is_some());
                let reason = if is_there { TopicCloseReason::NotAllowed } else { TopicCloseReason::Ended };
                self.close(topic, reason, out);
                Ok(None)
            }
            Err(error) => Err(SubscribeError::of_session(error, topic)),
        }
    }

    fn close(&mut self, topic: &Topic, reason: TopicCloseReason, out: &mut Outgoing) {
        self.reader.unfollow(topic);
        self.sessions.retain(|session| &session.topic != topic);
        self.closed.push(topic.clone());
        out.push(closed(topic, reason));
    }

    fn session(&self, topic: &Topic) -> Option<&FollowedSession> {
        self.sessions.iter().find(|session| &session.topic == topic)
    }

    fn is_for_us(&self, topic: &Topic, audience: &Audience) -> bool {
        if *audience == Audience::Everyone {
            return true;
        }
        match (audience, self.session(topic).map(|session| &session.standing)) {
            (_, Some(Standing::Server)) => true,
            (Audience::Team(team), Some(Standing::Seated { team: Some(ours) })) => ours.as_str() == team,
            (Audience::Player(player), _) => *player == self.follower.actor.id(),
            (Audience::Everyone | Audience::Team(_), _) => false,
        }
    }

    /// What all readers on this node need of an event; nothing if it is not one.
    fn prepare(&self, event: &pkg_bus::Event) -> Option<Prepared> {
        let prepared = Prepared::new(event)
            .inspect_err(|error| {
                tracing::error!(topic = %event.topic(), error = error as &dyn std::error::Error, "an event was dropped");
            })
            .ok()?;
        if prepared.is_of_muster
            && let Some(session) = self.session(event.topic())
        {
            self.shared.sessions.session_changed(session.session);
        }
        Some(prepared)
    }
}

/// Asks whether a topic may be followed; a session says more about it.
async fn admit(shared: &Subscriptions, who: Actor, kind: &TopicKind) -> Result<Option<Admission>, SubscribeError> {
    let topic = kind.topic().map_err(|error| SubscribeError::Broken(error.into()))?;
    let named = || topic.as_str().to_owned();
    kind.check(who, &*shared.games).await.map_err(|error| match error {
        TopicError::NotAllowed => SubscribeError::NotAllowed { topic: named() },
        TopicError::NotFound => SubscribeError::NotFound { topic: named() },
        TopicError::Store(error) => error.into(),
    })?;
    let TopicKind::Session(session) = kind else { return Ok(None) };
    let admitted = shared.sessions.admit(who, *session).await;
    admitted.map(Some).map_err(|error| SubscribeError::of_session(error, &topic))
}

/// The gap of a topic that is not a session's.
fn gap(topic: &Topic, cursor: Cursor) -> bytes::Bytes {
    let methods = TopicKind::parse(topic.as_str()).map(|kind| kind.state_methods()).unwrap_or_default();
    frame(Message::Gap(Gap {
        topic: topic.as_str().to_owned(),
        cursor: cursor.to_string(),
        session: None,
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
    }))
}

fn closed(topic: &Topic, reason: TopicCloseReason) -> bytes::Bytes {
    frame(Message::TopicClosed(TopicClosed { topic: topic.as_str().to_owned(), reason: reason.into() }))
}
