//! `muster.game.v1.ClockService`.

use pkg_ambient::Ambient;
use pkg_api::game::v1::clock_service_server::ClockService;
use pkg_api::game::v1::{GetTimeRequest, GetTimeResponse};
use tonic::{Request, Response, Status};

use crate::timestamps::timestamp;

/// The handlers.
pub struct ClockApi {
    pub(crate) ambient: Ambient,
}

#[tonic::async_trait]
impl ClockService for ClockApi {
    async fn get_time(&self, request: Request<GetTimeRequest>) -> Result<Response<GetTimeResponse>, Status> {
        let received = self.ambient.now();
        let client_time = request.into_inner().client_time;
        // A clock that was set back meanwhile does not make the answer go before the request came.
        let sent = self.ambient.now().max(received);
        Ok(Response::new(GetTimeResponse {
            client_time,
            receive_time: Some(timestamp(received)),
            send_time: Some(timestamp(sent)),
        }))
    }
}
