//! `muster.game.v1.EntityService`.

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_api::game::v1::entity_service_server::EntityService;
use pkg_api::game::v1::{
    BatchChangeEntitiesRequest, BatchChangeEntitiesResponse, CreateEntityRequest, CreateEntityResponse,
    DeleteEntityRequest, DeleteEntityResponse, Entity, GetEntityRequest, GetEntityResponse, ListEntitiesRequest,
    ListEntitiesResponse, UpdateEntityRequest, UpdateEntityResponse,
};
use pkg_middleware::Actor;
use tonic::{Request, Response, Status};

use super::parse_session::id;
use super::{parse_entity as parse, session_problems};
use crate::entities::Entities;
use crate::entity::Operation;
use crate::session_message;

/// The handlers.
pub struct EntityApi {
    pub(crate) entities: Arc<Entities>,
    pub(crate) ambient: Ambient,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl EntityService for EntityApi {
    async fn create_entity(&self, request: Request<CreateEntityRequest>) -> Answer<CreateEntityResponse> {
        let by = Actor::of(&request)?;
        let CreateEntityRequest { session_id, entity } = request.into_inner();
        let operation = parse::creation("entity.", entity, by, self.ambient.id())?;
        let entity = self.entities.change(id("session_id", &session_id)?, &[operation], None, by).await?;
        Ok(Response::new(CreateEntityResponse { entity: first(&entity) }))
    }

    async fn get_entity(&self, request: Request<GetEntityRequest>) -> Answer<GetEntityResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (session, entity) = (id("session_id", &request.session_id)?, id("entity_id", &request.entity_id)?);
        let entity = self.entities.get(session, entity, by).await?;
        Ok(Response::new(GetEntityResponse { entity: Some(session_message::entity(&entity)) }))
    }

    async fn list_entities(&self, request: Request<ListEntitiesRequest>) -> Answer<ListEntitiesResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let (session, kind) = (id("session_id", &request.session_id)?, parse::kind(&request.r#type)?);
        let page = parse::page(request)?;
        let list = self.entities.list(session, kind, page.after, page.size, by).await?;
        Ok(Response::new(ListEntitiesResponse {
            entities: list.entities.iter().map(session_message::entity).collect(),
            next_page_token: list
                .next
                .map(|last| parse::page_token(last, page.cursor.or(list.cursor)))
                .unwrap_or_default(),
            cursor: super::cursor(page.cursor.or(list.cursor)),
        }))
    }

    async fn update_entity(&self, request: Request<UpdateEntityRequest>) -> Answer<UpdateEntityResponse> {
        let by = Actor::of(&request)?;
        let UpdateEntityRequest { session_id, entity_id, update } = request.into_inner();
        let operation = parse::update_of(&entity_id, update)?;
        let entity = self.entities.change(id("session_id", &session_id)?, &[operation], None, by).await?;
        Ok(Response::new(UpdateEntityResponse { entity: first(&entity) }))
    }

    async fn delete_entity(&self, request: Request<DeleteEntityRequest>) -> Answer<DeleteEntityResponse> {
        let by = Actor::of(&request)?;
        let request = request.get_ref();
        let version = parse::version("version", request.version)?;
        let operation = Operation::Delete { id: id("entity_id", &request.entity_id)?, version };
        self.entities.change(id("session_id", &request.session_id)?, &[operation], None, by).await?;
        Ok(Response::new(DeleteEntityResponse {}))
    }

    async fn batch_change_entities(
        &self,
        request: Request<BatchChangeEntitiesRequest>,
    ) -> Answer<BatchChangeEntitiesResponse> {
        let by = Actor::of(&request)?;
        let request = request.into_inner();
        let session = id("session_id", &request.session_id)?;
        let batch = super::parse_session::optional_id("event_id", &request.event_id)?;
        let operations = parse::operations(request.operations, by, || self.ambient.id())?;
        let changed = self.entities.change(session, &operations, batch, by).await;
        let entities = changed.map_err(|error| session_problems::in_batch(&error))?;
        let entities = entities.iter().map(session_message::entity).collect();
        Ok(Response::new(BatchChangeEntitiesResponse { entities }))
    }
}

fn first(entities: &[crate::entity::Entity]) -> Option<Entity> {
    entities.first().map(session_message::entity)
}
